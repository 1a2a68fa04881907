//! What a body, or the owner of a guard, sees of its hold.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::hold::{Hold, State};
use crate::{Fence, Key, LockError, LostReason};

/// A view on a hold: which lock, which fence, how long still. Cheap to clone; it keeps nothing alive in the backend.
///
/// Everything here is answered locally, without a round trip.
#[derive(Clone)]
pub struct Lease(Arc<Hold>);

impl Lease {
    pub(crate) fn new(hold: Arc<Hold>) -> Self {
        Self(hold)
    }

    pub(crate) fn of(hold: &Arc<Hold>) -> Self {
        Self(Arc::clone(hold))
    }

    pub(crate) fn hold(&self) -> &Arc<Hold> {
        &self.0
    }

    /// The lock's key, without the namespace.
    #[must_use]
    pub fn key(&self) -> &Key {
        self.0.key()
    }

    /// The fence of this hold: send it along with every write that the lock is meant to protect.
    #[must_use]
    pub fn fence(&self) -> Fence {
        self.0.fence
    }

    /// How much longer the lease is valid if no renewal is confirmed; zero when it was lost or released.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.0.remaining()
    }

    /// Whether the lease is valid now, by the local clock. It says nothing about the next moment: a resource that
    /// must be sure compares [fences](Self::fence).
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.0.state() == State::Held
    }

    /// For the `?` before a step that must not happen without the lock.
    ///
    /// # Errors
    ///
    /// [`LockError::Lost`] when the lease was lost, or was released.
    pub fn ensure_held(&self) -> Result<(), LockError> {
        let reason = match self.0.state() {
            State::Held => return Ok(()),
            State::Lost(reason) => reason,
            State::Ended => LostReason::Missing,
        };
        Err(LockError::Lost {
            key: self.0.key().clone(),
            reason,
        })
    }

    /// Waits until the lease is lost. It does not resolve when the hold ends well.
    ///
    /// Decided locally, at the latest when the lease's deadline passes, even if the backend hangs.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn lost(&self) -> LostReason {
        loop {
            let lost = self.0.lost();
            // After `lost` exists, so that a loss in between is not missed.
            if let Some(reason) = self.0.lost_reason() {
                return reason;
            }
            lost.await;
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("key", self.0.key())
            .field("fence", &self.0.fence)
            .field("state", &self.0.state())
            .finish_non_exhaustive()
    }
}
