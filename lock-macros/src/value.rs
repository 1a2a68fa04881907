//! The value of one option, and what each option makes of it. Errors are the message alone; they
//! belong at the value.

use crate::args::{Key, OnLost, Policy, Renew};
use crate::duration;
use crate::nearest::{list, suggest};
use proc_macro2::TokenStream;
use quote::ToTokens;
use std::time::Duration;
use syn::{Expr, Ident, Lit, Path};

/// What stands after an option's name.
pub(crate) enum Value {
    /// Nothing; with the name itself.
    Flag(Ident),
    Expr(Expr),
}

impl Value {
    /// Where an error about the value belongs.
    pub(crate) fn tokens(&self) -> TokenStream {
        match self {
            Value::Flag(name) => name.to_token_stream(),
            Value::Expr(expr) => expr.to_token_stream(),
        }
    }

    fn literal(&self) -> Option<&Lit> {
        match self {
            Value::Expr(Expr::Lit(literal)) => Some(&literal.lit),
            _ => None,
        }
    }

    fn string(&self) -> Option<String> {
        match self.literal() {
            Some(Lit::Str(text)) => Some(text.value()),
            _ => None,
        }
    }
}

/// A metavariable of `macro_rules!` arrives in a group without delimiters.
pub(crate) fn look_through(expr: Expr) -> Expr {
    match expr {
        Expr::Group(group) => look_through(*group.expr),
        other => other,
    }
}

pub(crate) fn key(_: &Ident, value: &Value) -> Result<Key, String> {
    match value {
        Value::Flag(_) => Err("`key` needs a value: write `key = \"order:<id>\"`".to_owned()),
        Value::Expr(Expr::Lit(literal)) => match &literal.lit {
            Lit::Str(text) => Ok(Key::Template(text.clone())),
            other => Err(format!(
                "`{}` is no key: write a template such as `\"order:<id>\"`, or an expression that is a `Key`, a `String` \
                 or a `&str`",
                other.to_token_stream(),
            )),
        },
        Value::Expr(Expr::Array(_)) => Err(
            "`key` takes one lock: write one template, or one expression that is a `Key`, a `String` or a `&str`"
                .to_owned(),
        ),
        Value::Expr(expr) => Ok(Key::Expression(expr.clone())),
    }
}

pub(crate) fn duration(name: &Ident, value: &Value) -> Result<Duration, String> {
    match value.string() {
        Some(text) => duration::parse(&text),
        None => Err(as_string(name, value, "10s", "a duration")),
    }
}

pub(crate) fn backoff(name: &Ident, value: &Value) -> Result<(Duration, Duration), String> {
    match value.string() {
        Some(text) => duration::parse_range(&text),
        None => Err(as_string(name, value, "20ms..500ms", "two durations")),
    }
}

pub(crate) fn renew(name: &Ident, value: &Value) -> Result<Renew, String> {
    match value.literal() {
        Some(Lit::Bool(literal)) if !literal.value => Ok(Renew::Never),
        Some(Lit::Bool(_)) => Err(
            "`renew = true` says nothing: leave `renew` out for a renewal every third of the ttl, or write how often, \
                 `renew = \"3s\"`"
                .to_owned(),
        ),
        Some(Lit::Str(text)) => duration::parse(&text.value()).map(Renew::Every),
        _ => Err(as_string(name, value, "3s", "a duration") + ", or `renew = false`"),
    }
}

pub(crate) fn policy(name: &Ident, value: &Value) -> Result<Policy, String> {
    let policies = [
        ("fail", Policy::Fail),
        ("retry", Policy::Retry),
        ("skip", Policy::Skip),
        ("queue", Policy::Queue),
    ];
    let policy = one_of(name, value, "policy", "policies", &policies)?;
    // A unit test is built with whatever features its own package was asked for.
    available(policy, cfg!(any(feature = "queue", test)))
}

/// `"queue"` brings dependencies, and can be left out.
fn available(policy: Policy, with_queue: bool) -> Result<Policy, String> {
    if policy == Policy::Queue && !with_queue {
        return Err(
            "`\"queue\"` needs the feature `queue` of `lock-runtime`: write `features = [\"queue\"]` where `Cargo.toml` names it"
                .to_owned(),
        );
    }
    Ok(policy)
}

pub(crate) fn attempts(name: &Ident, value: &Value) -> Result<u32, String> {
    let example = format!("write how often a call is tried at most, `{name} = 20`");
    let Some(Lit::Int(number)) = value.literal() else {
        return Err(match value.string() {
            Some(text) if text.parse::<u32>().is_ok() => {
                format!("`{name}` is a number, without quotes: write `{name} = {text}`")
            }
            _ => format!("`{name}` needs a number of at least 1: {example}"),
        });
    };
    if !number.suffix().is_empty() && number.suffix() != "u32" {
        return Err(format!(
            "`{name}` is a number of attempts, without a unit: write `{name} = {}`",
            number.base10_digits()
        ));
    }
    match number.base10_parse() {
        Ok(0) => Err(format!(
            "a call that is never tried would never run: write at least `{name} = 1`"
        )),
        Ok(attempts) => Ok(attempts),
        Err(_) => Err(format!("`{number}` is too many: at most {}", u32::MAX)),
    }
}

pub(crate) fn on_lost(name: &Ident, value: &Value) -> Result<OnLost, String> {
    let reactions = [("abort", OnLost::Abort), ("continue", OnLost::Continue)];
    one_of(name, value, "reaction", "reactions", &reactions)
}

pub(crate) fn flag(name: &Ident, value: &Value) -> Result<bool, String> {
    match (value, value.literal()) {
        (Value::Flag(_), _) => Ok(true),
        (_, Some(Lit::Bool(literal))) => Ok(literal.value),
        _ => Err(format!("write `{name}` alone, `{name} = true` or `{name} = false`")),
    }
}

pub(crate) fn expression(name: &Ident, value: &Value) -> Result<Expr, String> {
    match value {
        Value::Expr(Expr::Lit(_)) | Value::Flag(_) => Err(format!(
            "`{name}` needs an expression that is a `&LockManager` or `AsRef<LockManager>`, for example `{name} = self.locks`"
        )),
        Value::Expr(expr) => Ok(expr.clone()),
    }
}

pub(crate) fn call(name: &Ident, value: &Value) -> Result<Expr, String> {
    let example = format!("write a call, `{name} = refund(id, &reason)`");
    match value {
        Value::Expr(expr @ (Expr::Call(_) | Expr::MethodCall(_))) => Ok(expr.clone()),
        Value::Expr(Expr::Await(_)) => {
            Err("the compensation is awaited when it is needed: leave `.await` out".to_owned())
        }
        Value::Expr(Expr::Path(path)) => {
            let path = path.to_token_stream().to_string().replace(' ', "");
            Err(format!(
                "`{path}` is not called: write the call with what it needs, `{name} = {path}(&reason)`"
            ))
        }
        _ => Err(format!(
            "`{name}` needs a call whose future has the function's return type: {example}"
        )),
    }
}

pub(crate) fn path(name: &Ident, value: &Value) -> Result<Path, String> {
    let example = format!("write the path to the `lock_runtime` crate, for example `{name} = ::my_locks`");
    match value {
        Value::Expr(Expr::Path(path)) if path.qself.is_none() && is_plain(&path.path) => Ok(path.path.clone()),
        _ => match value.string() {
            Some(text) => Err(format!("a path has no quotes: write `{name} = {text}`")),
            None => Err(example),
        },
    }
}

fn is_plain(path: &Path) -> bool {
    path.segments.iter().all(|segment| segment.arguments.is_none())
}

fn one_of<T: Copy>(name: &Ident, value: &Value, one: &str, several: &str, allowed: &[(&str, T)]) -> Result<T, String> {
    let names = || allowed.iter().map(|(name, _)| *name);
    let Some(text) = value.string() else {
        let example = allowed.first().map_or("", |(name, _)| name);
        return Err(format!(
            "`{name}` needs a string such as `{name} = \"{example}\"`; the {several} are {}",
            list(names())
        ));
    };
    match allowed.iter().find(|(name, _)| *name == text) {
        Some((_, found)) => Ok(*found),
        None => Err(format!(
            "unknown {one} `{text}`{}",
            suggest(&text, &format!("{several} are"), names()),
        )),
    }
}

/// `ttl = 10s` lexes as a number with a suffix, and is meant as it looks.
fn as_string(name: &Ident, value: &Value, example: &str, what: &str) -> String {
    let meant = match value.literal() {
        Some(Lit::Int(number)) if !number.suffix().is_empty() => number.to_string(),
        _ => example.to_owned(),
    };
    format!("`{name}` needs {what}, written as a string: `{name} = \"{meant}\"`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_needs_its_feature() {
        let refused = available(Policy::Queue, false).unwrap_err();
        assert!(
            refused.contains("needs the feature `queue` of `lock-runtime`"),
            "{refused}"
        );
        assert_eq!(available(Policy::Queue, true), Ok(Policy::Queue));
        assert_eq!(available(Policy::Skip, false), Ok(Policy::Skip));
    }
}
