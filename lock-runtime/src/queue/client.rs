//! Questions to the place where calls are stored: on the lock thread, where its connections are, and again while the
//! answer is missing.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio_util::task::TaskTracker;

use crate::backend::queue::CallStore;
use crate::backend::{Applied, Backend, BoxFuture, Failure, FailureKind};
use crate::clock::Moment;
use crate::manager::Shared;
use crate::pauses::pauses;
use crate::timeline::Timeline;
use crate::{Key, LockError, LockManager};

/// How long a question may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For one answer.
    answer: Duration,
    /// For an answer at all; `None`: for ever.
    answers: Option<Duration>,
}

impl Patience {
    /// Of somebody who waits for the answer: the contract allows 5 s.
    pub(super) const CALLER: Self = Self::new(Duration::from_secs(1), Duration::from_secs(4));
    /// Of nobody in particular: the answer counts whenever it comes.
    pub(super) const ENDLESS: Self = Self {
        answer: Duration::from_secs(1),
        answers: None,
    };

    pub(super) const fn new(answer: Duration, answers: Duration) -> Self {
        Self {
            answer,
            answers: Some(answers),
        }
    }
}

/// The store of one manager's calls.
#[derive(Clone)]
pub(super) struct Client {
    shared: Arc<Shared>,
    timeline: Arc<Timeline>,
    store: Arc<dyn CallStore>,
}

impl Client {
    /// # Errors
    ///
    /// [`LockError::NoQueue`] when the manager's backend stores no calls.
    pub(super) fn of(manager: &LockManager, key: Option<&Key>) -> Result<Self, LockError> {
        let shared = Arc::clone(&manager.0);
        let Some(store) = shared.calls() else {
            return Err(LockError::NoQueue { key: key.cloned() });
        };
        Ok(Self {
            timeline: shared.timeline(key.unwrap_or(&Key::from("")))?,
            shared,
            store,
        })
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(super) fn timeline(&self) -> &Arc<Timeline> {
        &self.timeline
    }

    pub(super) fn store(&self) -> &Arc<dyn CallStore> {
        &self.store
    }

    pub(super) fn backend(&self) -> &Arc<dyn Backend> {
        &self.shared.backend
    }

    /// Asks until there is an answer, or it is final, or the patience is over. Every question may be asked twice.
    ///
    /// Not cancelled with its caller: `read` is given the answer in any case.
    pub(super) async fn ask<T, R, Q>(
        &self,
        patience: Patience,
        question: Q,
        read: impl FnOnce(T) -> R + Send + 'static,
    ) -> Result<R, Failure>
    where
        T: Send + 'static,
        R: Send + 'static,
        Q: Question<T>,
    {
        let asking = self.asking(patience, question, read);
        if self.shared.backend.is_local() {
            return asking.await;
        }
        self.timeline.spawn(asking).await.unwrap_or_else(|error| {
            Err(Failure {
                kind: FailureKind::Permanent,
                applied: Applied::Unknown,
                reason: "the question was interrupted: its runtime has ended, or it has a bug".to_owned(),
                source: Some(error.into()),
            })
        })
    }

    /// As [`ask`](Self::ask), where nobody waits: `tracker` knows when it is over. In this process it is over at once.
    pub(super) fn ask_in_background<T, Q>(
        &self,
        tracker: &TaskTracker,
        patience: Patience,
        question: Q,
        read: impl FnOnce(Result<T, Failure>) + Send + 'static,
    ) where
        T: Send + 'static,
        Q: Question<T>,
    {
        let asking = self.asking(patience, question, |answer| answer);
        // A shutdown waits for it, too.
        let unfinished = self.shared.releases.token();
        let mut asking = Box::pin(async move {
            read(asking.await);
            drop(unfinished);
        });
        if self.shared.backend.is_local() && asking.as_mut().now_or_never().is_some() {
            return;
        }
        tracker.spawn_on(asking, self.timeline.runtime());
    }

    fn asking<T, R, Q, F>(
        &self,
        patience: Patience,
        question: Q,
        read: F,
    ) -> impl Future<Output = Result<R, Failure>> + Send + use<T, R, Q, F>
    where
        T: Send + 'static,
        Q: Question<T>,
        F: FnOnce(T) -> R + Send,
    {
        let (store, clock) = (Arc::clone(&self.store), self.timeline.clock);
        async move {
            let over = patience
                .answers
                .map_or(Moment::NEVER, |answers| clock.now().plus(answers));
            let mut pauses = pauses();
            loop {
                let within = patience.answer.min(over.since(clock.now()));
                let failure = match question(&*store, within).await {
                    Ok(answer) => return Ok(read(answer)),
                    Err(failure) => failure,
                };
                let next = clock.now().plus(pauses.next().unwrap_or(patience.answer));
                if failure.kind != FailureKind::Transient || next >= over {
                    return Err(failure);
                }
                clock.sleep_until(next).await;
            }
        }
    }

    /// A failed question as the user's error.
    pub(super) fn error(&self, key: Option<Key>, failure: Failure) -> LockError {
        if self.shared.closing.is_cancelled() {
            return LockError::ShutDown { key };
        }
        let reason = match failure.kind {
            FailureKind::WrongType => format!(
                "a key of the queue, `{}:…`, holds a value of another type; it was left alone",
                self.store.bell()
            ),
            FailureKind::Transient | FailureKind::Permanent => failure.reason,
        };
        LockError::Unavailable {
            key,
            reason,
            source: failure.source,
        }
    }
}

/// An operation of the store.
pub(super) trait Question<T>:
    for<'a> Fn(&'a dyn CallStore, Duration) -> BoxFuture<'a, Result<T, Failure>> + Send + Sync + 'static
{
}

impl<T, Q> Question<T> for Q where
    Q: for<'a> Fn(&'a dyn CallStore, Duration) -> BoxFuture<'a, Result<T, Failure>> + Send + Sync + 'static
{
}
