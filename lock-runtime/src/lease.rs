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
pub struct Lease(Arc<dyn Held>);

/// A [`Hold`] whose parts a compiler does not look at. It would, for each function that has a lease or a call over an
/// `await`: to find out whether all of them are `Send`, and what their drops may touch.
trait Held: Send + Sync {
    fn hold(&self) -> &Hold;
    fn shared(self: Arc<Self>) -> Arc<Hold>;
}

impl Held for Hold {
    fn hold(&self) -> &Hold {
        self
    }

    fn shared(self: Arc<Self>) -> Arc<Hold> {
        self
    }
}

impl Lease {
    pub(crate) fn new(hold: Arc<Hold>) -> Self {
        Self(hold)
    }

    pub(crate) fn hold(&self) -> &Hold {
        self.0.hold()
    }

    /// The hold, to keep.
    pub(crate) fn shared(&self) -> Arc<Hold> {
        Arc::clone(&self.0).shared()
    }

    /// The lock's key, without the namespace.
    #[must_use]
    pub fn key(&self) -> &Key {
        self.hold().key()
    }

    /// The fence of this hold: send it along with every write that the lock is meant to protect.
    #[must_use]
    pub fn fence(&self) -> Fence {
        self.hold().fence()
    }

    /// How much longer the lease is valid if no renewal is confirmed; zero when it was lost or released.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.hold().remaining()
    }

    /// Whether the lease is valid now, by the local clock. It says nothing about the next moment: a resource that
    /// must be sure compares [fences](Self::fence).
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.hold().state() == State::Held
    }

    /// For the `?` before a step that must not happen without the lock.
    ///
    /// # Errors
    ///
    /// [`LockError::Lost`] when the lease was lost, or was released.
    pub fn ensure_held(&self) -> Result<(), LockError> {
        let reason = match self.hold().state() {
            State::Held => return Ok(()),
            State::Lost(reason) => reason,
            State::Ended => LostReason::Missing,
        };
        Err(LockError::Lost {
            key: self.hold().key().clone(),
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
            let lost = self.hold().lost();
            // After `lost` exists, so that a loss in between is not missed.
            if let Some(reason) = self.hold().lost_reason() {
                return reason;
            }
            lost.await;
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("key", self.hold().key())
            .field("fence", &self.hold().fence())
            .field("state", &self.hold().state())
            .finish_non_exhaustive()
    }
}
