//! So many expansions of the attribute: `expansion <kind> <count>`.
#![allow(dead_code, reason = "the modules have more than is called here")]

use std::hint::black_box;
use std::process::ExitCode;
use std::str::FromStr;

use proc_macro2::TokenStream;

use error::Errors;

// A crate of procedural macros exports nothing else, so its modules are compiled in: here, at the root, where they look
// for each other.
#[path = "../../../lock-macros/src/args.rs"]
mod args;
#[path = "../../../lock-macros/src/async_trait.rs"]
mod async_trait;
#[path = "../../../lock-macros/src/check.rs"]
mod check;
#[path = "../../../lock-macros/src/compensate.rs"]
mod compensate;
#[path = "../../../lock-macros/src/duration.rs"]
mod duration;
#[path = "../../../lock-macros/src/error.rs"]
mod error;
#[path = "../../../lock-macros/src/expand.rs"]
mod expand;
#[path = "../../../lock-macros/src/item.rs"]
mod item;
#[path = "../../../lock-macros/src/later.rs"]
mod later;
#[path = "../../../lock-macros/src/marks.rs"]
mod marks;
#[path = "../../../lock-macros/src/nearest.rs"]
mod nearest;
#[path = "../../../lock-macros/src/output.rs"]
mod output;
#[path = "../../../lock-macros/src/ownership.rs"]
mod ownership;
#[path = "../../../lock-macros/src/params.rs"]
mod params;
#[path = "../../../lock-macros/src/placeholder.rs"]
mod placeholder;
#[path = "../../../lock-macros/src/plan.rs"]
mod plan;
#[path = "../../../lock-macros/src/signature.rs"]
mod signature;
#[path = "../../../lock-macros/src/storing.rs"]
mod storing;
#[path = "../../../lock-macros/src/template.rs"]
mod template;
#[path = "../../../lock-macros/src/tokens.rs"]
mod tokens;
#[path = "../../../lock-macros/src/value.rs"]
mod value;

/// The options and the function of each kind.
fn input(kind: &str) -> Option<(&'static str, &'static str)> {
    match kind {
        "plain" => Some((
            "key = \"order:<id>\"",
            "pub async fn ship(id: u64) -> Result<Shipment, ShopError> { load(id).await?.ship().await }",
        )),
        "full" => Some((
            "key = \"order:<order.id>:<line>\", ttl = \"10s\", on_conflict = \"retry\", wait = \"5s\", \
             backoff = \"20ms..1s\", renew = \"2s\", max_hold = \"1m\", hold_at_least = \"1s\", \
             compensate = refund(line, &reason), reentrant, manager = self.locks",
            "pub async fn ship(&self, order: Order, line: u64, (a, b): (u8, u8)) -> Result<Shipment, ShopError> { \
             for part in order.parts(line) { self.load(part, a, b).await?; } self.ship(order).await }",
        )),
        _ => None,
    }
}

/// As the attribute does it, but for the errors: there are none.
fn expanded(options: TokenStream, function: TokenStream) -> Option<TokenStream> {
    let mut errors = Errors::new();
    let args = args::parse(options, &mut errors);
    let item = item::parse(function, &mut errors);
    let plan = check::check(args, item.as_ref(), &mut errors);
    errors.finish().ok()?;
    Some(expand::expand(&plan?, &item?))
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [kind, count] = &arguments[..] else {
        return ExitCode::FAILURE;
    };
    let (Some((options, function)), Ok(count)) = (input(kind), count.parse::<u64>()) else {
        return ExitCode::FAILURE;
    };
    let (Ok(options), Ok(function)) = (TokenStream::from_str(options), TokenStream::from_str(function)) else {
        return ExitCode::FAILURE;
    };
    for _ in 0..count {
        if black_box(expanded(options.clone(), function.clone())).is_none() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
