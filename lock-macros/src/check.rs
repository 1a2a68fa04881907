//! Compares the options with each other and with the function. A flat list: each check looks at what
//! it needs, adds its errors, and leaves the others alone.

use crate::args::{Args, Given, Key as KeyOption, OnLost, Policy, Renew};
use crate::compensate;
use crate::duration::{SHORTEST_TTL, display};
use crate::error::Errors;
use crate::item::Item;
use crate::placeholder;
use crate::plan::{Key, Plan, Spec};
use crate::storing;
use crate::template;
use proc_macro2::Span;
use syn::{LitStr, Type};

/// All checks. A plan if nothing was wrong, as far as these checks see.
pub(crate) fn check(args: Args, item: Option<&Item>, errors: &mut Errors) -> Option<Plan> {
    check_key_is_given(&args, errors);
    check_ttl(&args, errors);
    check_renew(&args, errors);
    check_max_hold(&args, errors);
    check_options_of_a_policy(&args, errors);
    check_compensate_needs_abort(&args, errors);
    if let Some(item) = item {
        check_output(item, errors);
    }
    let later = item.and_then(|item| storing::check(&args, item, errors));
    let key = args.key.and_then(|key| check_key(key.value, item, errors));
    let item = item?;
    let compensation = args
        .compensate
        .map(|given| compensate::check(&given.value, item, errors));
    Some(Plan {
        krate: args.krate.map(|given| given.value),
        spec: Spec {
            policy: args.on_conflict.map_or(Policy::Fail, |given| given.value),
            ttl: args.ttl.map(|given| given.value),
            wait: args.wait.map(|given| given.value),
            backoff: args.backoff.map(|given| given.value),
            renew: args.renew.map(|given| given.value),
            max_hold: args.max_hold.map(|given| given.value),
            hold_at_least: args.hold_at_least.map(|given| given.value),
            on_lost: args.on_lost.map_or(OnLost::Abort, |given| given.value),
            reentrant: args.reentrant.is_some_and(|given| given.value),
        },
        key: key?,
        manager: args.manager.map(|given| given.value),
        compensation,
        later,
    })
}

/// The lock has no name of its own.
fn check_key_is_given(args: &Args, errors: &mut Errors) {
    if !args.has("key") {
        errors.at(
            Span::call_site(),
            "`key` is missing: name what is locked, for example `#[distributed_lock(key = \"order:<id>\")]`",
        );
    }
}

/// Below 100 ms a lease ends before a renewal over a network can arrive.
fn check_ttl(args: &Args, errors: &mut Errors) {
    if let Some(ttl) = &args.ttl
        && ttl.value < SHORTEST_TTL
    {
        let shortest = display(SHORTEST_TTL);
        errors.over(
            &ttl.at,
            format!(
                "a lease of {} cannot be renewed in time: write at least \"{shortest}\"",
                display(ttl.value)
            ),
        );
    }
}

/// Two renewals must fit into one ttl, so that one may fail. Without a `ttl` here the manager's is
/// compared when the function runs.
fn check_renew(args: &Args, errors: &mut Errors) {
    if let (
        Some(ttl),
        Some(Given {
            at,
            value: Renew::Every(every),
        }),
    ) = (&args.ttl, &args.renew)
        && *every > ttl.value / 2
    {
        let half = display(ttl.value / 2);
        errors.over(
            at,
            format!("one failed renewal would lose the lease: write at most half of the ttl, `renew = \"{half}\"`, or leave `renew` out"),
        );
    }
}

/// A hold that may not even last one lease is no hold with a ttl of that length.
fn check_max_hold(args: &Args, errors: &mut Errors) {
    if let (Some(ttl), Some(max_hold)) = (&args.ttl, &args.max_hold)
        && max_hold.value < ttl.value
    {
        let ttl = display(ttl.value);
        errors.over(
            &max_hold.at,
            format!("`max_hold` ends before the first lease does: write at least the ttl, `max_hold = \"{ttl}\"`, or a shorter `ttl`"),
        );
    }
}

/// Only `"retry"` waits, and only `"queue"` stores.
fn check_options_of_a_policy(args: &Args, errors: &mut Errors) {
    let written = match &args.on_conflict {
        Some(given) => given.at.to_string(),
        // Its value is an error already, and may have been meant as any.
        None if args.has("on_conflict") => return,
        None => "\"fail\"".to_owned(),
    };
    let policy = args.on_conflict.as_ref().map_or(Policy::Fail, |given| given.value);
    for name in &args.written {
        let (of, never, needed) = match name.to_string().as_str() {
            "wait" | "backoff" => (Policy::Retry, "never waits", "retry"),
            "delay" | "attempts" => (Policy::Queue, "never stores a call", "queue"),
            _ => continue,
        };
        if policy != of {
            errors.at(
                name.span(),
                format!(
                    "`{name}` has no use with `on_conflict = {written}`, which {never}: write `on_conflict = \"{needed}\"`, or \
                     leave `{name}` out"
                ),
            );
        }
    }
}

/// A body that goes on cannot be compensated for.
fn check_compensate_needs_abort(args: &Args, errors: &mut Errors) {
    if let (Some(on_lost), Some(_)) = (&args.on_lost, &args.compensate)
        && on_lost.value == OnLost::Continue
    {
        let later = args
            .written
            .iter()
            .rfind(|name| *name == "on_lost" || *name == "compensate");
        errors.at(
            later.map_or_else(Span::call_site, proc_macro2::Ident::span),
            "`compensate` runs instead of a body that was aborted, and `on_lost = \"continue\"` never aborts: leave one of the \
             two out",
        );
    }
}

/// The lock can fail, so the function must be able to say so. Everything beyond these plain cases is
/// the type checker's: an alias of `Result` is as good as `Result`.
fn check_output(item: &Item, errors: &mut Errors) {
    let name = &item.sig.ident;
    let example = "write `-> Result<T, E>` with an `E: From<LockError>`";
    match &item.body.output {
        None => errors.at(
            name.span(),
            format!("`{name}` returns nothing, so it cannot say that the lock could not be had: write `-> Result<(), E>` with an `E: From<LockError>`"),
        ),
        Some(Type::Tuple(unit)) if unit.elems.is_empty() => errors.over(
            unit,
            format!("`{name}` returns `()`, so it cannot say that the lock could not be had: write `-> Result<(), E>` with an `E: From<LockError>`"),
        ),
        Some(Type::Never(never)) => errors.over(
            never,
            format!("`{name}` never returns, so it cannot say that the lock could not be had: {example}"),
        ),
        Some(_) => {}
    }
}

fn check_key(key: KeyOption, item: Option<&Item>, errors: &mut Errors) -> Option<Key> {
    match key {
        KeyOption::Expression(expr) => Some(Key::Expression(expr)),
        KeyOption::Template(literal) => check_template(&literal, item, errors),
    }
}

fn check_template(literal: &LitStr, item: Option<&Item>, errors: &mut Errors) -> Option<Key> {
    if !literal.suffix().is_empty() {
        errors.over(literal, "a key has no suffix: write the string alone");
        return None;
    }
    match template::parse(&literal.value()) {
        Err(problems) => {
            for problem in problems {
                errors.over(literal, problem);
            }
            None
        }
        Ok(parts) => {
            let parts = placeholder::resolve(parts, literal, item?, errors)?;
            Some(Key::Template(literal.span(), parts))
        }
    }
}

#[cfg(test)]
#[path = "tests/check.rs"]
mod tests;
