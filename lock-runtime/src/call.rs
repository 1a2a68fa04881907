//! What an annotated function becomes: one [`Call`] that is given a key and runs the body.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::outcome::Returns;
use crate::ownership::{Ending, Ownership};
use crate::release::ReleaseEnd;
use crate::template::ManagerRef;
use crate::terms::{OnConflict, OnLost, Spec};
use crate::{Key, LockError, LockManager, LostReason, body};

/// One call of an annotated function. Declared before the body, so that the body and its parameters are dropped
/// first and the lock is released after them, whichever way the call ends.
pub struct Call<R> {
    spec: &'static Spec,
    returns: Returns<R>,
    key: Option<Key>,
    manager: Option<LockManager>,
    /// Ours while the body runs. Its drop releases.
    ownership: Option<Arc<Ownership>>,
}

/// How the body of a call ended.
pub enum Ended<R> {
    /// With its output.
    Finished(R),
    /// It was stopped, because the lease was lost; it must be dropped by now.
    Lost(LostReason),
    /// It never ran.
    Refused(R),
}

impl<R> Call<R> {
    /// A call that holds nothing yet.
    #[must_use]
    pub const fn new(spec: &'static Spec, returns: Returns<R>) -> Self {
        Self {
            spec,
            returns,
            key: None,
            manager: None,
            ownership: None,
        }
    }

    /// The lock to take.
    pub fn key(&mut self, key: Key) {
        self.key = Some(key);
    }

    /// The manager to ask instead of the installed one.
    pub fn manager<M: ManagerRef + ?Sized>(&mut self, manager: &M) {
        self.manager = Some(manager.manager().clone());
    }

    /// Acquires the lock and polls `body` under it.
    pub async fn run<F: Future<Output = R>>(&mut self, body: Pin<&mut F>) -> Ended<R> {
        let ownership = match self.acquire().await {
            Ok(ownership) => self.ownership.insert(ownership),
            Err(error) => return Ended::Refused(self.refuse(error)),
        };
        // The last moment before the body: between the grant and here the lease may have run out, or the hold that
        // is joined may have been lost.
        if let Some(reason) = ownership.hold().lost_reason() {
            let key = ownership.hold().key.clone();
            return Ended::Refused(self.refuse(LockError::Lost { key, reason }));
        }
        match body::under(ownership, self.spec.on_lost, body).await {
            Ok(output) => Ended::Finished(output),
            Err(reason) => Ended::Lost(reason),
        }
    }

    /// Releases the lock and gives the function's output; a lost lease is an error.
    pub async fn end(&mut self, ended: Ended<R>) -> R {
        let key = self.ownership.as_ref().map(|ownership| ownership.hold().key.clone());
        match (self.end_or_lost(ended).await, key) {
            (Ok(output), _) => output,
            (Err(reason), Some(key)) => (self.returns.refused)(LockError::Lost { key, reason }),
            // A body is only lost under a hold; without one there is no key, and no manager has given it.
            (Err(_), None) => (self.returns.refused)(LockError::NoManager { key: None }),
        }
    }

    /// Releases the lock and gives the function's output, or why the compensation is to run.
    ///
    /// # Errors
    ///
    /// Why the lease was lost.
    pub async fn end_or_lost(&mut self, ended: Ended<R>) -> Result<R, LostReason> {
        let ending = self.ownership.take().and_then(Ownership::end);
        match ended {
            Ended::Finished(output) => {
                confirm(ending).await;
                Ok(output)
            }
            Ended::Refused(output) => Ok(output),
            // The backend may hang, and that may be why the lease expired: nobody waits for it then.
            Ended::Lost(LostReason::Expired) => Err(LostReason::Expired),
            Ended::Lost(reason) => {
                confirm(ending).await;
                Err(reason)
            }
        }
    }

    async fn acquire(&mut self) -> Result<Arc<Ownership>, LockError> {
        let Some(key) = self.key.take() else {
            return Err(LockError::InvalidKey {
                key: Key::from(""),
                reason: "the call was given no key".to_owned(),
            });
        };
        let Some(manager) = self.manager.take().or_else(LockManager::installed) else {
            return Err(LockError::NoManager { key: Some(key) });
        };
        manager.acquire(key, self.spec).await
    }

    fn refuse(&self, error: LockError) -> R {
        match self.returns.skipped {
            Some(skipped) if self.spec.on_conflict == OnConflict::Skip && error.is_conflict() => skipped(),
            _ => (self.returns.refused)(error),
        }
    }
}

/// Waits for the release's first answer. A failure was logged, goes on in the background, and never replaces the
/// body's output.
async fn confirm(ending: Option<Ending>) {
    if let Some(ending) = ending {
        match ending.wait().await {
            ReleaseEnd::Released | ReleaseEnd::Lost(_) | ReleaseEnd::Failed(_) => {}
        }
    }
}

/// Awaits a compensation; a function of its own so that its output's type is checked against the function's.
pub async fn compensate<R, F: Future<Output = R>>(compensation: F) -> R {
    compensation.await
}

/// The body of [`LockRequest::run`](crate::LockRequest::run) under a hold that was acquired for it.
pub(crate) async fn run<F: Future>(
    ownership: Arc<Ownership>,
    on_lost: OnLost,
    body: F,
) -> Result<F::Output, LockError> {
    let key = ownership.hold().key.clone();
    // The body is dropped before the lock is released: on the way out, and by the order of declaration also when
    // this future is dropped.
    let ended = {
        let body = std::pin::pin!(body);
        match ownership.hold().lost_reason() {
            None => body::under(&ownership, on_lost, body).await,
            Some(reason) => Err(reason),
        }
    };
    let ending = Ownership::end(ownership);
    if let Err(LostReason::Expired) = ended {
        drop(ending);
    } else {
        confirm(ending).await;
    }
    ended.map_err(|reason| LockError::Lost { key, reason })
}
