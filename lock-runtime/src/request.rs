//! A lock without the attribute: a request with options, ended by a guard or by a body.

use std::future::Future;
use std::time::Duration;

use crate::call;
use crate::guard::LockGuard;
use crate::terms::Spec;
use crate::{Key, LockError, LockManager};

/// A request for one lock, from [`LockManager::lock`]. The options are those of the attribute.
#[must_use = "a request does nothing before it is acquired or run"]
#[derive(Debug, Clone)]
pub struct LockRequest {
    manager: LockManager,
    key: Key,
    spec: Spec,
}

impl LockRequest {
    pub(crate) fn new(manager: LockManager, key: Key) -> Self {
        Self {
            manager,
            key,
            spec: Spec::retry(),
        }
    }

    /// How long the lease lives without renewal; the manager's default unless set (30 s). At least 100 ms.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.spec = self.spec.ttl(ttl);
        self
    }

    /// The longest that [`acquire`](Self::acquire) and [`run`](Self::run) wait for another holder; the manager's
    /// default unless set (10 s). Zero: they do not wait.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.spec = self.spec.wait(wait);
        self
    }

    /// The bounds of the jittered re-check between wake-ups; 20 ms to 500 ms unless set.
    pub fn backoff(mut self, min: Duration, max: Duration) -> Self {
        self.spec = self.spec.backoff(min, max);
        self
    }

    /// How often the lease is renewed; a third of the ttl unless set. At most half of the ttl.
    pub fn renew_every(mut self, period: Duration) -> Self {
        self.spec = self.spec.renew_every(period);
        self
    }

    /// The lease is never renewed: it ends after one ttl.
    pub fn never_renew(mut self) -> Self {
        self.spec = self.spec.never_renew();
        self
    }

    /// Renewal stops this long after the lock was acquired, and the lease counts as lost. At least the ttl.
    pub fn max_hold(mut self, max_hold: Duration) -> Self {
        self.spec = self.spec.max_hold(max_hold);
        self
    }

    /// The lock stays taken until this long after it was acquired, even if it is released earlier.
    pub fn hold_at_least(mut self, hold_at_least: Duration) -> Self {
        self.spec = self.spec.hold_at_least(hold_at_least);
        self
    }

    /// Inside a body that holds this lock, join its hold instead of failing with [`LockError::Reentered`].
    pub fn reentrant(mut self) -> Self {
        self.spec = self.spec.reentrant();
        self
    }

    /// [`run`](Self::run) goes on when the lease is lost; the body can ask [`current()`](crate::current).
    pub fn continue_when_lost(mut self) -> Self {
        self.spec = self.spec.continue_when_lost();
        self
    }

    /// Acquires the lock; waits for another holder at most [`wait`](Self::wait).
    ///
    /// # Errors
    ///
    /// [`LockError::Conflict`] when the wait is over, [`LockError::Unavailable`] within 5 s, or within the wait and
    /// one second, when the backend gives no definite answer, and the errors of bad options and keys.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: when this is dropped, what was acquired or may have been acquired is released.
    pub async fn acquire(self) -> Result<LockGuard, LockError> {
        let ownership = self.manager.acquire(self.key, &self.spec).await?;
        Ok(LockGuard::new(ownership))
    }

    /// Acquires the lock if it is free; `None` when somebody else holds it.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire), without the conflict.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe, as [`acquire`](Self::acquire).
    pub async fn try_acquire(self) -> Result<Option<LockGuard>, LockError> {
        match self.wait(Duration::ZERO).acquire().await {
            Ok(guard) => Ok(Some(guard)),
            Err(error) if error.is_conflict() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Runs `body` under the lock, as an annotated function does: the lease is renewed meanwhile, the body is stopped
    /// and dropped when the lease is lost, then the lock is released.
    ///
    /// # Errors
    ///
    /// Those of [`acquire`](Self::acquire); then the body does not run. [`LockError::Lost`] when the lease was lost
    /// before the body ended.
    ///
    /// # Cancel safety
    ///
    /// When this is dropped, the body is dropped and then the lock is released.
    pub async fn run<F: Future>(self, body: F) -> Result<F::Output, LockError> {
        let ownership = self.manager.acquire(self.key, &self.spec).await?;
        call::run(ownership, self.spec.on_lost, body).await
    }
}
