//! The service's own error. `From<LockError>` is all that an annotated function asks of it.

use lock_runtime::{LockError, LostReason};

/// Why the shop could not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShopError {
    /// The lock was taken, could not be asked for, or was lost.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// It has left the house.
    #[error("order {id} is shipped already")]
    Shipped {
        /// The order's number.
        id: u64,
    },
    /// Packing was stopped and undone.
    #[error("packing order {id} was stopped, because its lock was lost ({reason}); nothing was shipped")]
    Stopped {
        /// The order's number.
        id: u64,
        /// Why the lease was lost.
        reason: LostReason,
    },
    /// A later holder of the lock has written to the order.
    #[error("somebody else has worked on order {id} since")]
    Stale {
        /// The order's number.
        id: u64,
    },
    /// A function that writes was called by one that has no lock.
    #[error("an order is written only by a function with #[distributed_lock]")]
    OutsideLock,
}
