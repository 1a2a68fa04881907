//! Functions of many shapes.

use locks::{LockError, LockManager, LostReason, distributed_lock};
use std::sync::Arc;

/// A shop.
#[derive(Debug, Clone)]
pub struct Shop {
    id: u64,
    locks: LockManager,
}

/// Ships.
///
/// # Errors
///
/// When the lock cannot be had.
#[distributed_lock(
    key = "order:<id>", ttl = "10s", on_conflict = "retry", wait = "1s", backoff = "1ms..2ms", renew = "2s",
    max_hold = "1m", hold_at_least = "1s", compensate = refund(id, &reason), reentrant, crate = ::locks
)]
pub async fn ship(id: u64) -> Result<u64, LockError> {
    std::future::ready(()).await;
    return Ok(id);
}

/// Gives the money back.
///
/// # Errors
///
/// Never.
async fn refund(id: u64, reason: &LostReason) -> Result<u64, LockError> {
    let _reason = std::future::ready(reason).await;
    return Ok(id);
}

/// One expression, and nothing to wait for.
///
/// # Errors
///
/// When the lock cannot be had.
#[distributed_lock(key = "order", on_conflict = "skip", crate = locks)]
#[allow(clippy::unused_async)]
pub async fn one() -> Result<(), LockError> {
    return Ok(());
}

/// Parameters in every form.
///
/// # Errors
///
/// When the lock cannot be had.
#[distributed_lock(key = "<a>:<r#type>", compensate = nothing(), crate = ::locks)]
#[allow(clippy::too_many_arguments)]
pub async fn parameters(
    (a, _): (u8, String),
    _: String,
    _unused: Vec<u8>,
    mut list: Vec<u8>,
    r#type: &str,
    (): (),
    [mut first, ..]: [u8; 2],
    #[cfg(doctest)] missing: NoSuchType,
    #[cfg(not(doctest))] (there, _): (u8, String),
) -> Result<Vec<u8>, LockError> {
    std::future::ready(()).await;
    first += a;
    list.push(first);
    list.extend(r#type.bytes());
    list.push(there);
    return Ok(list);
}

/// Nothing.
///
/// # Errors
///
/// Never.
async fn nothing() -> Result<Vec<u8>, LockError> {
    std::future::ready(()).await;
    return Ok(Vec::new());
}

/// Generic, borrowed and opaque.
///
/// # Errors
///
/// When the lock cannot be had.
#[distributed_lock(key = name.to_owned(), crate = ::locks)]
pub async fn generic<'a, T: Clone + Send + Sync, F: Fn(&T) + Send>(
    name: &'a str,
    list: &'a [T],
    each: F,
) -> Result<impl Iterator<Item = &'a T> + use<'a, T, F>, LockError> {
    let _name = std::future::ready(name).await;
    list.iter().for_each(&each);
    return Ok(list.iter());
}

impl Shop {
    /// By reference.
    ///
    /// # Errors
    ///
    /// When the lock cannot be had.
    #[distributed_lock(key = "shop:<self.id>", manager = self.locks, crate = ::locks)]
    pub async fn shared(&self) -> Result<u64, LockError> {
        std::future::ready(()).await;
        return Ok(self.id);
    }

    /// Exclusively.
    ///
    /// # Errors
    ///
    /// When the lock cannot be had.
    #[distributed_lock(key = "shop:<self.id>", crate = ::locks)]
    pub async fn exclusive(&mut self) -> Result<&mut Self, LockError> {
        std::future::ready(()).await;
        self.id += 1;
        return Ok(self);
    }

    /// By value.
    ///
    /// # Errors
    ///
    /// When the lock cannot be had.
    #[distributed_lock(key = "shop:<self.id>", compensate = self.undo(), crate = ::locks)]
    pub async fn owned(mut self) -> Result<Self, LockError> {
        std::future::ready(()).await;
        self.id += 1;
        return Ok(self);
    }

    /// Shared.
    ///
    /// # Errors
    ///
    /// When the lock cannot be had.
    #[distributed_lock(key = "shop:<self.id>", crate = ::locks)]
    pub async fn counted(self: Arc<Self>) -> Result<u64, LockError> {
        std::future::ready(()).await;
        return Ok(self.id);
    }

    async fn undo(self) -> Result<Self, LockError> {
        std::future::ready(()).await;
        return Ok(self);
    }
}

/// A trait with boxed futures.
#[async_trait::async_trait]
pub trait Ship {
    /// Ships.
    async fn ship(&self, id: u64, pair: (String, String), _unused: String) -> Result<String, LockError>;

    /// Ships twice.
    #[allow(clippy::implicit_return)] // of `#[async_trait]`
    #[distributed_lock(key = "twice:<id>", crate = ::locks)]
    async fn twice(&self, id: u64) -> Result<String, LockError> {
        return self.ship(id, (String::new(), String::new()), String::new()).await;
    }
}

#[async_trait::async_trait]
#[allow(clippy::implicit_return)] // of `#[async_trait]`
impl Ship for Shop {
    #[distributed_lock(key = "ship:<id>:<a>", manager = self.locks, crate = ::locks)]
    async fn ship(&self, id: u64, (a, _): (String, String), _: String) -> Result<String, LockError> {
        let _id = std::future::ready(id).await;
        return Ok(a);
    }
}

macro_rules! made {
    ($(#[$attr:meta])* $name:ident($id:ident), $key:literal, $body:block) => {
        $(#[$attr])*
        #[distributed_lock(key = $key, crate = ::locks)]
        pub async fn $name($id: u64) -> Result<u64, LockError> $body
    };
}

made! {
    /// Made by a macro.
    ///
    /// # Errors
    ///
    /// When the lock cannot be had.
    made(id),
    "made:<id>",
    {
        std::future::ready(()).await;
        return Ok(id);
    }
}
