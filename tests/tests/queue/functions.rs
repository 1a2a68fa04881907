//! The annotated functions.

use lock_runtime::{LockError, LostReason, Outcome, Queued, Ticket, distributed_lock};
use serde::{Deserialize, Serialize, Serializer};

use crate::support::{Act, Shop, ShopError};

/// The delay is so long that only a wake-up can be the reason of running soon.
#[distributed_lock(key = "order:<order>", on_conflict = "queue", delay = "1h", manager = shop)]
pub(crate) async fn ship(#[state] shop: &Shop, order: u64, name: String, act: Act) -> Result<Outcome<u64>, ShopError> {
    shop.perform(order, &name, &act).await.map(Outcome::Done)
}

/// The same lock, with a delay that a test can wait for, and few attempts.
#[distributed_lock(key = "order:<order>", on_conflict = "queue", delay = "200ms", attempts = 3, manager = shop)]
pub(crate) async fn ship_soon(
    #[state] shop: &Shop,
    order: u64,
    name: String,
    act: Act,
) -> Result<Outcome<u64>, ShopError> {
    shop.perform(order, &name, &act).await.map(Outcome::Done)
}

/// The same lock, for a backend that is away for a while: there is always another attempt soon.
#[distributed_lock(key = "order:<order>", on_conflict = "queue", delay = "100ms", attempts = 1000, manager = shop)]
pub(crate) async fn ship_stubbornly(
    #[state] shop: &Shop,
    order: u64,
    name: String,
    act: Act,
) -> Result<Outcome<u64>, ShopError> {
    shop.perform(order, &name, &act).await.map(Outcome::Done)
}

/// The options that nobody set.
#[distributed_lock(key = "order:<order>", on_conflict = "queue", manager = shop)]
pub(crate) async fn ship_by_default(#[state] shop: &Shop, order: u64) -> Result<(), ShopError> {
    shop.perform(order, "by default", &Act::Note).await.map(drop)
}

/// For virtual time: the pauses between its attempts grow.
#[distributed_lock(key = "order:<order>", on_conflict = "queue", delay = "1s", attempts = 7, manager = shop)]
pub(crate) async fn ship_patiently(#[state] shop: &Shop, order: u64, name: String) -> Result<Outcome<u64>, ShopError> {
    shop.perform(order, &name, &Act::Note).await.map(Outcome::Done)
}

/// A type that says in its own words that the call was stored.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Receipt {
    Shipped,
    Later(Ticket),
}

impl Queued for Receipt {
    fn queued(ticket: Ticket) -> Receipt {
        Receipt::Later(ticket)
    }
}

#[distributed_lock(key = "order:<order>", on_conflict = "queue", delay = "1h", manager = shop)]
pub(crate) async fn ship_with_receipt(#[state] shop: &Shop, order: u64) -> Result<Receipt, LockError> {
    let _ = shop.perform(order, "with receipt", &Act::Note).await;
    Ok(Receipt::Shipped)
}

/// Calls [`ship`] while it holds the lock itself; gives what that said.
#[distributed_lock(key = "order:<order>", on_conflict = "queue", delay = "1h", manager = shop)]
pub(crate) async fn ship_within(#[state] shop: &Shop, order: u64) -> Result<Outcome<String>, ShopError> {
    let inner = ship(shop, order, "inner".to_owned(), Act::Note).await;
    Err(ShopError::Refused(match inner {
        Ok(outcome) => format!("the inner call is {outcome:?}"),
        Err(ShopError::Lock(error)) if error.is_reentered() => format!("the inner call is reentered: {error}"),
        Err(error) => format!("the inner call is another error: {error}"),
    }))
}

/// Its lease is lost after a moment, whatever its body does.
#[distributed_lock(
    key = "hasty:<order>",
    ttl = "300ms",
    max_hold = "400ms",
    on_conflict = "queue",
    delay = "100ms",
    attempts = 3,
    manager = shop
)]
pub(crate) async fn ship_hastily(
    #[state] shop: &Shop,
    order: u64,
    name: String,
    act: Act,
) -> Result<Outcome<u64>, ShopError> {
    shop.perform(order, &name, &act).await.map(Outcome::Done)
}

/// As [`ship_hastily`]; what comes after a loss is what the arguments say.
#[distributed_lock(
    key = "hasty:<order>",
    ttl = "300ms",
    max_hold = "400ms",
    on_conflict = "queue",
    delay = "100ms",
    attempts = 3,
    compensate = apologize(accepted, &reason),
    manager = shop
)]
pub(crate) async fn ship_or_apologize(
    #[state] shop: &Shop,
    order: u64,
    name: String,
    accepted: bool,
) -> Result<Outcome<u64>, ShopError> {
    shop.perform(order, &name, &Act::Hang).await.map(Outcome::Done)
}

async fn apologize(accepted: bool, reason: &LostReason) -> Result<Outcome<u64>, ShopError> {
    if accepted {
        Ok(Outcome::Done(0))
    } else {
        Err(ShopError::Refused(format!("no apology was accepted: {reason}")))
    }
}

/// An argument that does not serialize.
#[derive(Debug, Deserialize)]
pub(crate) struct Unspeakable;

impl Serialize for Unspeakable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("words fail"))
    }
}

#[distributed_lock(key = "order:<order>", on_conflict = "queue", delay = "1h", manager = shop)]
pub(crate) async fn ship_unspeakable(
    #[state] shop: &Shop,
    order: u64,
    wish: Unspeakable,
) -> Result<Outcome<u64>, ShopError> {
    let name = format!("{wish:?}");
    shop.perform(order, &name, &Act::Note).await.map(Outcome::Done)
}

/// What the version of now makes of arguments that an older one stored.
#[distributed_lock(key = "order:<order>", on_conflict = "queue", delay = "1h", manager = shop)]
pub(crate) async fn ship_parcels(
    #[state] shop: &Shop,
    order: u64,
    #[serde(default)] parcels: u32,
    #[serde(alias = "destination")] address: String,
    note: Option<String>,
) -> Result<Outcome<u64>, ShopError> {
    let name = format!("{parcels} parcels to {address}{}", note.unwrap_or_default());
    shop.perform(order, &name, &Act::Note).await.map(Outcome::Done)
}

/// Says in a trace that its body runs.
#[distributed_lock(key = "traced:<name>", on_conflict = "queue", delay = "1h", attempts = 4, manager = shop)]
pub(crate) async fn ship_traced(#[state] shop: &Shop, name: String, act: Act) -> Result<Outcome<u64>, ShopError> {
    tracing::info!(call = name, "the body runs");
    shop.perform(0, &name, &act).await.map(Outcome::Done)
}

/// An argument that may be no number, which JSON has no word for.
#[distributed_lock(key = "order:<order>", on_conflict = "queue", delay = "1h", manager = shop)]
pub(crate) async fn ship_weight(#[state] shop: &Shop, order: u64, weight: f64) -> Result<Outcome<u64>, ShopError> {
    let name = format!("{weight} kg");
    shop.perform(order, &name, &Act::Note).await.map(Outcome::Done)
}

/// May be called by a body that holds its lock, if that says so too: see [`ship_around`].
#[distributed_lock(key = "order:<order>", reentrant, on_conflict = "queue", delay = "1h", manager = shop)]
pub(crate) async fn ship_inside(#[state] shop: &Shop, order: u64) -> Result<Outcome<u64>, ShopError> {
    shop.perform(order, "inside", &Act::Note).await.map(Outcome::Done)
}

#[distributed_lock(key = "order:<order>", reentrant, on_conflict = "queue", delay = "1h", manager = shop)]
pub(crate) async fn ship_around(#[state] shop: &Shop, order: u64) -> Result<Outcome<u64>, ShopError> {
    ship_inside(shop, order).await
}
