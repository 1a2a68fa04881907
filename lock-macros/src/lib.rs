//! The `#[distributed_lock]` attribute. Use it through `lock-runtime`, which re-exports it.
//!
//! The way of one use: `args` and `item` are parsed, `check` makes a `plan` of them, `expand` makes
//! tokens of the plan. All of it works on `proc_macro2`, so that tests can call it.

mod args;
mod async_trait;
mod check;
mod compensate;
mod duration;
mod error;
mod expand;
mod guard;
mod item;
mod nearest;
mod output;
mod params;
mod placeholder;
mod plan;
mod signature;
mod template;
mod value;

#[cfg(test)]
mod tests;

use error::Errors;

/// docs later
#[proc_macro_attribute]
pub fn distributed_lock(args: proc_macro::TokenStream, item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let args = args.into();
    guard::guarded(item.into(), |item| attribute(args, item)).into()
}

/// The whole attribute: the locked function, or the function as it was written beside its errors.
fn attribute(args: proc_macro2::TokenStream, item: proc_macro2::TokenStream) -> proc_macro2::TokenStream {
    let mut errors = Errors::new();
    let args = args::parse(args, &mut errors);
    let function = item::parse(item.clone(), &mut errors);
    let plan = check::check(args, function.as_ref(), &mut errors);
    match (errors.finish(), plan, function) {
        (Ok(()), Some(plan), Some(function)) => expand::expand(&plan, &function),
        (Ok(()), _, _) => unreachable!("a plan is missing, and no error says why"),
        (Err(mut tokens), _, _) => {
            tokens.extend(item);
            tokens
        }
    }
}
