//! A table of orders that refuses stale fences, as a real one does with
//! `UPDATE orders SET state = ?, fence = ? WHERE id = ? AND fence <= ?`.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lock_runtime::Fence;

use crate::error::ShopError;

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Somebody packs it.
    Packing,
    /// It left the house.
    Shipped,
    /// Nobody will pack it.
    Cancelled,
}

/// In memory, so that the example needs no database. With several processes the database is what
/// they share besides the locks.
#[derive(Debug, Default)]
pub struct Database {
    /// For each order its state and the fence of the last write.
    orders: Mutex<HashMap<u64, (State, Fence)>>,
}

impl Database {
    /// The state of an order that somebody has worked on.
    #[must_use]
    pub fn state(&self, id: u64) -> Option<State> {
        self.orders().get(&id).map(|(state, _)| *state)
    }

    /// How many orders are in a state.
    #[must_use]
    pub fn count(&self, state: State) -> usize {
        self.orders().values().filter(|(found, _)| *found == state).count()
    }

    /// Writes an order's state. One hold may write more than once, so an equal fence is fine.
    ///
    /// # Errors
    /// [`ShopError::Stale`] when a later holder of the order's lock has written already.
    pub fn write(&self, id: u64, fence: Fence, state: State) -> Result<(), ShopError> {
        let mut orders = self.orders();
        if orders.get(&id).is_some_and(|(_, last)| *last > fence) {
            return Err(ShopError::Stale { id });
        }
        orders.insert(id, (state, fence));
        Ok(())
    }

    fn orders(&self) -> MutexGuard<'_, HashMap<u64, (State, Fence)>> {
        // No write can stop half-way, so a poisoned table is still a good one.
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
