//! Functions whose calls may be stored.

use locks::{LockError, LockManager, LostReason, Outcome, distributed_lock};
use serde::{Deserialize, Serialize};

/// An order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Order {
    id: u64,
    lines: Vec<String>,
}

/// What a worker has itself.
#[derive(Debug)]
pub struct Db {
    locks: LockManager,
}

/// Ships.
///
/// # Errors
///
/// When the lock cannot be had.
#[distributed_lock(
    key = "order:<order.id>", ttl = "10s", on_conflict = "queue", delay = "2s", attempts = 3, renew = "2s",
    max_hold = "1m", hold_at_least = "1s", compensate = refund(db, note, &reason), reentrant, manager = db.locks,
    crate = ::locks
)]
pub async fn ship(
    #[state] db: &Db,
    #[serde(alias = "goods")] order: Order,
    #[serde(default)] note: String,
    #[serde(default = "three")] mut copies: u32,
    _unused: Vec<u8>,
    r#type: Option<u8>,
) -> Result<Outcome<u64>, LockError> {
    std::future::ready(()).await;
    copies += u32::from(r#type.unwrap_or_default());
    let taken = db.locks.lock(note).try_acquire().await?;
    drop(taken);
    return Ok(Outcome::Done(order.id + u64::from(copies)));
}

/// Three.
const fn three() -> u32 {
    return 3;
}

/// Gives the money back.
///
/// # Errors
///
/// Never.
async fn refund(db: &Db, note: String, reason: &LostReason) -> Result<Outcome<u64>, LockError> {
    let _reason = std::future::ready((db, note, reason)).await;
    return Ok(Outcome::Done(0));
}

/// Of one expression, and with nothing to store.
///
/// # Errors
///
/// When the lock cannot be had.
#[distributed_lock(key = "order", on_conflict = "queue", crate = locks)]
#[allow(clippy::unused_async)]
pub async fn one() -> Result<(), LockError> {
    return Ok(());
}

/// A state that is taken apart.
///
/// # Errors
///
/// When the lock cannot be had.
#[distributed_lock(key = "apart:<first>", on_conflict = "queue", crate = ::locks)]
pub async fn apart(#[state] &(first, _): &(u8, u8), #[state] _: &u8) -> Result<(), LockError> {
    let _first = std::future::ready(first).await;
    return Ok(());
}

macro_rules! made {
    ($(#[$attr:meta])* $name:ident($id:ident: $ty:ty), $key:literal, $body:block) => {
        $(#[$attr])*
        #[distributed_lock(key = $key, on_conflict = "queue", crate = ::locks)]
        pub async fn $name(#[state] db: &Db, #[serde(default)] $id: $ty) -> Result<(), LockError> $body
    };
}

made! {
    /// Made by a macro.
    ///
    /// # Errors
    ///
    /// When the lock cannot be had.
    made(id: u64),
    "made:<id>",
    {
        let _id = std::future::ready(id).await;
        return Ok(());
    }
}
