//! The `#[distributed_lock]` attribute. Use it through `lock-runtime`, which re-exports it.
//!
//! The way of one use: `args` and `item` are parsed, `check` makes a `plan` of them, `expand` makes
//! tokens of the plan. For `on_conflict = "queue"`, `marks` reads what parameters are marked with,
//! `storing` checks what a worker asks of a function, and `later` writes the other half of the
//! expansion. All of it works on `proc_macro2`, so that tests can call it.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")
)]

mod args;
mod async_trait;
mod check;
mod compensate;
mod duration;
mod error;
mod expand;
mod guard;
mod item;
mod later;
mod marks;
mod nearest;
mod output;
mod ownership;
mod params;
mod placeholder;
mod plan;
mod signature;
mod storing;
mod template;
mod tokens;
mod value;

#[cfg(test)]
mod tests;

use error::Errors;

/// Runs an async function under a distributed lock.
///
/// ```
/// use lock_runtime::{LockError, LockManager, distributed_lock};
///
/// #[distributed_lock(key = "order:<id>", ttl = "10s", on_conflict = "retry")]
/// async fn ship(id: u64) -> Result<String, LockError> {
///     // On one machine at a time for each order.
///     Ok(format!("order {id} is on its way"))
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), LockError> {
/// LockManager::in_memory().install()?;
/// assert_eq!(ship(42).await?, "order 42 is on its way");
/// # Ok(())
/// # }
/// ```
///
/// The lock is acquired before the body runs, renewed while it runs, and released when it ends, however it
/// ends: the body's variables and all parameters are dropped first. It is the body that is wrapped; the
/// signature, the documentation and the other attributes stay as they are written.
///
/// Works on `async fn`: free functions, methods with any receiver, in traits and their impls, and under
/// `#[async_trait]` (on the methods; `#[async_trait]` stays on the impl or the trait).
///
/// The function returns `Result<T, E>` with an `E: From<LockError>`.
///
/// # Options
///
/// | option | form | default | meaning |
/// | --- | --- | --- | --- |
/// | `key` | `"order:<id>"`, or an expression that is a `Key`, `String` or `&str` | required | the lock's name, computed once, before the first `await` |
/// | `ttl` | `"10s"`, `"1m 30s"` | the manager's, 30 s | how long the lease lives without renewal; at least `"100ms"` |
/// | `on_conflict` | `"fail"`, `"retry"`, `"skip"`, `"queue"` | `"fail"` | when somebody else holds the lock: an error at once; wait for it; do nothing and return `Ok(T::skipped())`; store the call, [to be run later](#calls-that-run-later), and return `Ok(T::queued(ticket))` |
/// | `wait` | duration | the manager's, 10 s | the longest that `"retry"` waits; only with `"retry"` |
/// | `backoff` | `"20ms..500ms"` | `"20ms..500ms"` | bounds of the re-check between wake-ups; only with `"retry"` |
/// | `delay` | duration | `"1s"` | how long a stored call rests before its first run, and, growing, between tries; only with `"queue"` |
/// | `attempts` | number | `20` | how often a stored call is tried at most; only with `"queue"` |
/// | `renew` | duration, or `false` | a third of the ttl | how often the lease is renewed, at most half of the ttl; `false`: never |
/// | `max_hold` | duration | none | renewal stops here, and the lease is then lost; at least the ttl |
/// | `hold_at_least` | duration | none | the lock stays taken until this long after it was acquired |
/// | `on_lost` | `"abort"`, `"continue"` | `"abort"` | when the lease is lost: the body is dropped and the call is an error; or the body goes on |
/// | `compensate` | a call, `refund(id, &reason)` | none | awaited after the body of a lost lease was dropped; its output becomes the function's. Parameters that it names are cloned before the body starts; `reason` is the `LostReason`. Not with `on_lost = "continue"` |
/// | `reentrant` | flag, or `true`, `false` | `false` | a nested call for the same key joins the hold instead of failing |
/// | `manager` | expression, `self.locks` | the installed one | anything that is a `LockManager` or `AsRef<LockManager>` |
/// | `crate` | path | `::lock_runtime` | where the library is, if it was renamed or re-exported |
///
/// # Keys
///
/// A template is text with placeholders: a parameter or `self`, then any of `.field`, `.0` and `.method()`,
/// as in `"shop:<self.id>/order:<order.lines.0.total()>"`. `<<` and `>>` stand for the brackets. Values are
/// written by `Display` and percent-encoded; between two placeholders there is one of `:`, `/`, `|` and `#`.
/// So two lists of values never make the same key.
///
/// # Calls that run later
///
/// With `on_conflict = "queue"`, a call that meets a taken lock is stored with its arguments, and run later by a
/// worker of this program or another one that has the function (`manager.worker()`). Needs the feature `queue` of
/// `lock-runtime`, which is on by default.
///
/// ```
/// use lock_runtime::{LockError, LockManager, Outcome, distributed_lock};
///
/// # struct Db;
/// # impl Db { async fn pack(&self, _: u64, _: &str) -> Result<u32, LockError> { Ok(1) } }
/// #[distributed_lock(key = "order:<id>", on_conflict = "queue", delay = "5s", attempts = 10)]
/// async fn ship(
///     #[state] db: &Db,
///     #[serde(alias = "order")] id: u64,
///     #[serde(default)] note: String,
/// ) -> Result<Outcome<u32>, LockError> {
///     Ok(Outcome::Done(db.pack(id, &note).await?))
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), LockError> {
/// LockManager::in_memory().install()?;
/// match ship(&Db, 42, String::new()).await? {
///     Outcome::Done(parcels) => println!("{parcels} parcels are on their way"),
///     Outcome::Queued(ticket) => println!("will be shipped: {ticket}"),
/// }
/// # Ok(())
/// # }
/// ```
///
/// The function is a free function, because the worker calls it by its name: written in an impl, the compiler
/// cannot find that name. It has no generics, and each parameter has a name and an owned type that is
/// `serde::Serialize` and `serde::Deserialize`, or is a state. The body's future is `Send`. `T` is `Queued`: `()`,
/// `Outcome<_>`, or a type of your own. The path of the function, `shop::orders::ship`, is stored: who renames or
/// moves it leaves the stored calls behind.
///
/// | on a parameter | meaning |
/// | --- | --- |
/// | `#[state] db: &Db` | is not stored: the worker lends its own, given to it by `worker.state(db)`; one of each type |
/// | `#[serde(default)]` | calls that were stored before the parameter was added get `Default::default()` |
/// | `#[serde(default = "path")]` | they get what the function at `path` gives |
/// | `#[serde(alias = "former")]` | calls that were stored before the parameter was renamed are understood; may be repeated |
///
/// # Errors
///
/// Every misuse is a compile error at its place, all of them at once. The function is emitted also then,
/// without its lock, so that its callers have no second error.
///
/// # Limits
///
/// The return value waits while the lock is released: the future is `Send` only if the return type is. A
/// parameter that the body does not use is no longer reported as unused: it is kept until the lock goes.
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
        // A check that gives no plan and no reason: never seen, and no reason to run without a lock.
        (Ok(()), _, _) => guard::bug("no plan, and no error says why", &item),
        (Err(mut tokens), _, _) => {
            tokens.extend(marks::without(item));
            tokens
        }
    }
}
