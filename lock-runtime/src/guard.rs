//! A hold that the caller ends by hand.

use std::fmt;

use crate::ownership::{Ending, Ownership};
use crate::release::{ReleaseEnd, unavailable};
use crate::{Fence, Lease, LockError};

/// A lock that is held until this is released or dropped. Renewed in the background meanwhile.
///
/// Dropping it releases in the background, anywhere: in a task, in a plain thread, while a runtime shuts down.
/// [`release`](Self::release) also tells whether the lock was still held. A `std::mem::forget` keeps the lock for
/// ever; `max_hold` is against that.
#[must_use = "the lock is released when the guard is dropped"]
pub struct LockGuard {
    ownership: Ownership,
}

impl LockGuard {
    pub(crate) fn new(ownership: Ownership) -> Self {
        Self { ownership }
    }

    /// The view on the hold that bodies get from [`current()`](crate::current).
    #[must_use]
    pub fn lease(&self) -> &Lease {
        self.ownership.lease()
    }

    /// The fence of this hold.
    #[must_use]
    pub fn fence(&self) -> Fence {
        self.lease().fence()
    }

    /// Gives the lock back and tells how that went.
    ///
    /// A re-entered guard only takes its part out of the hold; the outermost end releases.
    ///
    /// # Errors
    ///
    /// [`LockError::Lost`] when the lock was not held any more: what was done under it may have been unprotected.
    /// [`LockError::Unavailable`] when the backend gave no answer within a second; the release then goes on in the
    /// background until the ttl is over.
    ///
    /// # Cancel safety
    ///
    /// Once polled, the release goes on without the caller.
    pub async fn release(mut self) -> Result<(), LockError> {
        let ending = self.ownership.end();
        let hold = self.ownership.hold();
        let lost = |reason| LockError::Lost {
            key: hold.key().clone(),
            reason,
        };
        let Some(ending) = ending else {
            return hold.lost_reason().map_or(Ok(()), |reason| Err(lost(reason)));
        };
        let end = match ending {
            Ending::Over(end) => end,
            ending => ending.wait().await,
        };
        match end {
            ReleaseEnd::Released => Ok(()),
            ReleaseEnd::Lost(reason) => Err(lost(reason)),
            ReleaseEnd::Failed(failure) => Err(unavailable(hold.key(), failure)),
        }
    }
}

impl fmt::Debug for LockGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LockGuard").field(self.lease()).finish()
    }
}
