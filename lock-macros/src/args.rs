//! The options as they were written, each with its name and its value, nothing compared yet.

use crate::error::Errors;
use crate::nearest::suggest;
use crate::value::{self, Value};
use proc_macro2::{TokenStream, TokenTree};
use std::time::Duration;
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{Expr, Ident, LitStr, Path, Token, token};

/// Every option there is, in the order of the documentation.
pub(crate) const OPTIONS: [&str; 15] = [
    "key",
    "ttl",
    "on_conflict",
    "wait",
    "backoff",
    "delay",
    "attempts",
    "renew",
    "max_hold",
    "hold_at_least",
    "on_lost",
    "compensate",
    "reentrant",
    "manager",
    "crate",
];

/// What stood in the brackets. An option whose value could not be read is in `written` only.
#[derive(Default)]
pub(crate) struct Args {
    pub(crate) key: Option<Given<Key>>,
    pub(crate) ttl: Option<Given<Duration>>,
    pub(crate) on_conflict: Option<Given<Policy>>,
    pub(crate) wait: Option<Given<Duration>>,
    pub(crate) backoff: Option<Given<(Duration, Duration)>>,
    pub(crate) delay: Option<Given<Duration>>,
    pub(crate) attempts: Option<Given<u32>>,
    pub(crate) renew: Option<Given<Renew>>,
    pub(crate) max_hold: Option<Given<Duration>>,
    pub(crate) hold_at_least: Option<Given<Duration>>,
    pub(crate) on_lost: Option<Given<OnLost>>,
    pub(crate) compensate: Option<Given<Expr>>,
    pub(crate) reentrant: Option<Given<bool>>,
    pub(crate) manager: Option<Given<Expr>>,
    pub(crate) krate: Option<Given<Path>>,
    /// The names of all options, readable or not, in order.
    pub(crate) written: Vec<Ident>,
}

/// An option with a readable value.
pub(crate) struct Given<T> {
    /// Where errors about the value belong.
    pub(crate) at: TokenStream,
    pub(crate) value: T,
}

/// A template, or an expression that is the key.
pub(crate) enum Key {
    Template(LitStr),
    Expression(Expr),
}

/// What happens when somebody else holds the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    Fail,
    Retry,
    Skip,
    Queue,
}

/// How often the lease is renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renew {
    Every(Duration),
    Never,
}

/// What happens to the body of a lost lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnLost {
    Abort,
    Continue,
}

impl Args {
    /// Was the option written, whatever became of its value?
    pub(crate) fn has(&self, name: &str) -> bool {
        self.written.iter().any(|written| written == name)
    }
}

/// Reads all options; what cannot be read is an error and is skipped.
pub(crate) fn parse(tokens: TokenStream, errors: &mut Errors) -> Args {
    let mut args = Args::default();
    let parsed = (|input: ParseStream<'_>| {
        while !input.is_empty() {
            if let Err(error) = option(input, &mut args, errors) {
                errors.push(error);
                skip_to_comma(input);
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(())
    })
    .parse2(tokens);
    if let Err(error) = parsed {
        errors.push(error);
    }
    args
}

/// Input: `name`, or `name = value`; up to the comma, which stays.
fn option(input: ParseStream<'_>, args: &mut Args, errors: &mut Errors) -> syn::Result<()> {
    let name = option_name(input)?;
    let known = OPTIONS.iter().any(|option| name == option);
    if !known {
        let written = name.to_string();
        errors.at(
            name.span(),
            format!(
                "unknown option `{written}`{}",
                suggest(&written, "options are", OPTIONS)
            ),
        );
        skip_to_comma(input);
        return Ok(());
    }
    let repeated = args.has(&name.to_string());
    if repeated {
        errors.at(name.span(), format!("`{name}` is given twice: write it once"));
    }
    args.written.push(name.clone());
    let value = option_value(input, &name)?;
    if !repeated {
        set(args, &name, &value, errors);
    }
    Ok(())
}

fn option_name(input: ParseStream<'_>) -> syn::Result<Ident> {
    if input.peek(Ident::peek_any) {
        return Ident::parse_any(input);
    }
    if input.peek(LitStr) {
        let literal: LitStr = input.fork().parse()?;
        return Err(input.error(format!("a value without a name: write `key = {:?}`", literal.value())));
    }
    Err(input.error("expected an option, for example `key = \"order:<id>\"`"))
}

fn option_value(input: ParseStream<'_>, name: &Ident) -> syn::Result<Value> {
    if input.is_empty() || input.peek(Token![,]) {
        return Ok(Value::Flag(name.clone()));
    }
    if !input.peek(Token![=]) {
        let message = if input.peek(token::Paren) {
            format!("options are written with `=`: `{name} = ...`")
        } else {
            format!("expected `=` and a value, or a comma, after `{name}`")
        };
        return Err(input.error(message));
    }
    let equals: Token![=] = input.parse()?;
    if input.is_empty() || input.peek(Token![,]) {
        return Err(syn::Error::new(
            equals.span,
            format!("expected a value after `{name} =`"),
        ));
    }
    let value: Expr = input.parse()?;
    if !input.is_empty() && !input.peek(Token![,]) {
        let hint = if name == "key" {
            "; a template has quotes, `key = \"order:<id>\"`"
        } else {
            ""
        };
        return Err(input.error(format!("expected a comma after the value of `{name}`{hint}")));
    }
    Ok(Value::Expr(value::look_through(value)))
}

fn set(args: &mut Args, name: &Ident, value: &Value, errors: &mut Errors) {
    match name.to_string().as_str() {
        "key" => args.key = given(name, value, value::key, errors),
        "ttl" => args.ttl = given(name, value, value::duration, errors),
        "on_conflict" => args.on_conflict = given(name, value, value::policy, errors),
        "wait" => args.wait = given(name, value, value::duration, errors),
        "backoff" => args.backoff = given(name, value, value::backoff, errors),
        "delay" => args.delay = given(name, value, value::duration, errors),
        "attempts" => args.attempts = given(name, value, value::attempts, errors),
        "renew" => args.renew = given(name, value, value::renew, errors),
        "max_hold" => args.max_hold = given(name, value, value::duration, errors),
        "hold_at_least" => args.hold_at_least = given(name, value, value::duration, errors),
        "on_lost" => args.on_lost = given(name, value, value::on_lost, errors),
        "compensate" => args.compensate = given(name, value, value::call, errors),
        "reentrant" => args.reentrant = given(name, value, value::flag, errors),
        "manager" => args.manager = given(name, value, value::expression, errors),
        "crate" => args.krate = given(name, value, value::path, errors),
        other => errors.at(name.span(), format!("`{other}` is listed as an option and not read")),
    }
}

fn given<T>(
    name: &Ident,
    value: &Value,
    read: fn(&Ident, &Value) -> Result<T, String>,
    errors: &mut Errors,
) -> Option<Given<T>> {
    let at = value.tokens();
    match read(name, value) {
        Ok(value) => Some(Given { at, value }),
        Err(message) => {
            errors.over(at, message);
            None
        }
    }
}

fn skip_to_comma(input: ParseStream<'_>) {
    while !input.is_empty() && !input.peek(Token![,]) {
        // Neither empty nor a parse that can fail: a token tree is always there.
        if input.parse::<TokenTree>().is_err() {
            return;
        }
    }
}

#[cfg(test)]
#[path = "tests/args.rs"]
mod tests;
