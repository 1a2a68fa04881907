//! The service functions of the example `orders`: what a shop does with an order, one replica at a
//! time for each order. Nothing here knows of HTTP.

mod database;
mod error;

use std::sync::Arc;
use std::time::Duration;

use lock_runtime::{Fence, Lease, LockManager, LostReason, current, distributed_lock};

pub use crate::database::{Database, State};
pub use crate::error::ShopError;

/// How long it takes to pack an order.
pub const PACKING: Duration = Duration::from_secs(2);

/// The shop, as one replica sees it.
#[derive(Clone, Debug)]
pub struct Shop {
    locks: LockManager,
    database: Arc<Database>,
}

/// An order that left the house.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shipment {
    /// The order's number.
    pub order: u64,
    /// The hold under which it was shipped.
    pub fence: Fence,
}

impl Shop {
    /// A shop without orders.
    #[must_use]
    pub fn new(locks: LockManager) -> Shop {
        Shop {
            locks,
            database: Arc::default(),
        }
    }

    /// Ships an order, which may happen once. Somebody who works on the same order is an error, at
    /// once: a customer who clicks twice shall not wait.
    ///
    /// # Errors
    /// [`ShopError::Shipped`], and those of the lock.
    #[distributed_lock(key = "order:<id>", ttl = "10s", manager = self.locks, compensate = self.unpack(id, reason))]
    pub async fn ship(&self, id: u64) -> Result<Shipment, ShopError> {
        let fence = lease()?.fence();
        if self.database.state(id) == Some(State::Shipped) {
            return Err(ShopError::Shipped { id });
        }
        self.database.write(id, fence, State::Packing)?;
        tokio::time::sleep(PACKING).await;
        self.database.write(id, fence, State::Shipped)?;
        Ok(Shipment { order: id, fence })
    }

    /// Cancels an order that was not shipped. Waits for somebody who works on it: the answer then
    /// depends on what they did.
    ///
    /// # Errors
    /// [`ShopError::Shipped`], and those of the lock.
    #[distributed_lock(key = "order:<id>", ttl = "10s", on_conflict = "retry", wait = "5s", manager = self.locks)]
    pub async fn cancel(&self, id: u64) -> Result<(), ShopError> {
        if self.database.state(id) == Some(State::Shipped) {
            return Err(ShopError::Shipped { id });
        }
        self.database.write(id, lease()?.fence(), State::Cancelled)
    }

    /// Counts the shipped orders; `None` when another replica counts already.
    ///
    /// # Errors
    /// Those of the lock; never a conflict.
    #[distributed_lock(key = "stock-taking", ttl = "10s", on_conflict = "skip", manager = self.locks)]
    pub async fn take_stock(&self) -> Result<Option<usize>, ShopError> {
        Ok(Some(self.database.count(State::Shipped)))
    }

    /// What is known of an order. Reading takes no lock.
    #[must_use]
    pub fn state(&self, id: u64) -> Option<State> {
        self.database.state(id)
    }

    /// Runs after the lease was lost and packing was stopped. Another replica may have the order by
    /// now, so this does not write to the database: it has no fence that would count.
    async fn unpack(&self, id: u64, reason: LostReason) -> Result<Shipment, ShopError> {
        Err(ShopError::Stopped { id, reason })
    }
}

/// The lease under which the caller runs. The database wants its fence with every write.
fn lease() -> Result<Lease, ShopError> {
    current().ok_or(ShopError::OutsideLock)
}
