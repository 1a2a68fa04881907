//! What a function with `on_conflict = "queue"` becomes: a call that runs its body, or is stored.

use std::future::Future;
use std::pin::Pin;

use super::execution::{Execution, Report};
use super::function::Function;
use super::outcome::ReturnsLater;
use super::parameter::Arguments;
use super::storing;
use crate::call;
use crate::ended::Ended;
use crate::outcome::Returns;
use crate::template::{KeyValue, ManagerRef};
use crate::terms::Spec;
use crate::{Key, LockError, LockManager, LostReason};

/// One call of an annotated function, by anybody or by a worker. Declared before the body, as every [`call::Call`].
pub struct Call<R> {
    inner: call::Call<R>,
    returns: ReturnsLater<R>,
    function: &'static Function,
    /// `None`: somebody else than a worker calls.
    execution: Option<Execution>,
    /// The manager of the option `manager`.
    manager: Option<LockManager>,
    /// The lock that somebody else holds.
    taken: Option<Key>,
}

/// What a call has to do now.
pub enum Entered<R> {
    /// It holds the lock: run the body.
    Held,
    /// Somebody else does: store the arguments.
    Taken,
    /// It is over. Boxed, because it would lie beside the body in every future of the function.
    Over(Box<Ended<R>>),
}

impl<R> Call<R> {
    /// A call that holds nothing yet.
    #[must_use]
    pub fn new(spec: &'static Spec, returns: ReturnsLater<R>, function: &'static Function) -> Self {
        let refused = returns.refused;
        Self {
            inner: call::Call::new(spec, Returns { refused, skipped: None }),
            returns,
            function,
            execution: Execution::starting(function),
            manager: None,
            taken: None,
        }
    }

    /// The lock to take.
    pub fn key(&mut self, key: Key) {
        self.inner.key(key);
    }

    /// As [`call::Call::text`].
    pub fn text(&mut self, text: &str) {
        self.inner.text(text);
    }

    /// As [`call::Call::part`].
    pub fn part<V: KeyValue + ?Sized>(&mut self, text: &str, value: &V) {
        self.inner.part(text, value);
    }

    /// The manager to ask instead of the installed one. A worker's calls ask its own: they are stored with it.
    pub fn manager<M: ManagerRef + ?Sized>(&mut self, manager: &M) {
        if self.execution.is_none() {
            self.inner.manager(manager);
            self.manager = Some(manager.manager().clone());
        }
    }

    /// Acquires the lock, if it is free.
    pub async fn enter(&mut self) -> Entered<R> {
        match Box::pin(self.try_enter()).await {
            Ok(entered) => entered,
            Err(error) => Entered::Over(Box::new(Ended::Refused(self.refuse(error)))),
        }
    }

    async fn try_enter(&mut self) -> Result<Entered<R>, LockError> {
        match &self.execution {
            Some(execution) => self.inner.manager(execution.manager()),
            None => self.check_place()?,
        }
        match (self.inner.hold().await, &self.execution) {
            (Ok(()), None) => Ok(Entered::Held),
            (Ok(()), Some(execution)) => {
                // While this waited, the claim may have run out, and somebody else may have run the call.
                if execution.claim().confirm().await? {
                    // And while that was asked, the lease.
                    self.inner.still_held()?;
                    return Ok(Entered::Held);
                }
                execution.tell(Report::Superseded);
                let output = (self.returns.queued)(execution.ticket());
                Ok(Entered::Over(Box::new(Ended::Refused(output))))
            }
            (Err(LockError::Conflict { key, .. }), None) => {
                self.taken = Some(key);
                Ok(Entered::Taken)
            }
            (Err(error), _) => Err(error),
        }
    }

    /// A place that stores no calls refuses all of them, not only those that meet a taken lock.
    fn check_place(&self) -> Result<(), LockError> {
        let manager = self.manager.clone().or_else(LockManager::installed);
        match manager {
            Some(manager) if manager.0.calls().is_none() => Err(LockError::NoQueue {
                key: self.inner.key_wanted().cloned(),
            }),
            _ => Ok(()),
        }
    }

    /// Polls `body` under the lock.
    pub async fn run<F: Future<Output = R>>(&mut self, body: Pin<&mut F>) -> Ended<R> {
        self.inner.run_held(body).await
    }

    /// Stores the call, whose lock somebody else holds.
    pub async fn store(&mut self, arguments: Arguments) -> Ended<R> {
        let manager = self.manager.take().or_else(LockManager::installed);
        let stored = match (manager, self.taken.take()) {
            (Some(manager), Some(key)) => Box::pin(storing::store(&manager, key, self.function, arguments)).await,
            (_, key) => Err(LockError::NoManager { key }),
        };
        Ended::Refused(match stored {
            Ok(ticket) => (self.returns.queued)(ticket),
            Err(error) => (self.returns.refused)(error),
        })
    }

    /// Releases the lock and gives the function's output; a lost lease is an error.
    pub fn end(&mut self, ended: Ended<R>) -> impl Future<Output = R> {
        if let (Some(execution), Ended::Lost { reason, .. }) = (&self.execution, &ended) {
            execution.tell(Report::Lost(*reason));
        }
        self.inner.end(ended)
    }

    /// Releases the lock and gives the function's output, or why the compensation is to run.
    pub fn end_or_lost(&mut self, ended: Ended<R>) -> impl Future<Output = Result<R, LostReason>> {
        self.inner.end_or_lost(ended)
    }

    /// A worker is told why; what its call returns is of no use to it.
    fn refuse(&self, error: LockError) -> R {
        match &self.execution {
            None => (self.returns.refused)(error),
            Some(execution) => {
                execution.tell(Report::Refused(error));
                (self.returns.queued)(execution.ticket())
            }
        }
    }
}
