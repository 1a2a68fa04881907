//! The worker: runs stored calls, each under its lock, until it is told to stop.

mod execute;
mod run;
mod states;
mod watch;

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::time::Duration;

pub(super) use self::states::States;
use super::client::Client;
use super::function::Functions;
use super::telemetry;
use crate::terms::MAX_DURATION;
use crate::{LockError, LockManager};

/// How many calls run side by side unless set.
const CONCURRENCY: usize = 16;
/// How long a claim lasts that is not kept, unless set.
const LEASE: Duration = Duration::from_secs(30);
/// The shortest one: it is kept three times in its time, and each time may be tried twice.
const SHORTEST_LEASE: Duration = Duration::from_millis(500);
/// How long running bodies may go on after the stop, unless set.
const GRACE: Duration = Duration::from_secs(30);

/// Runs the stored calls of a manager, from [`LockManager::worker`].
///
/// It finds every function with `on_conflict = "queue"` of the program by itself, whichever crate it is in, as long as that
/// crate is linked. Several workers, in one process or in many, share the work. A worker without the state that a function
/// needs warns of it when it starts; calls of that function are tried again, so that another worker may take them, and are
/// dead letters in the end.
///
/// It is woken by calls that are stored, by the end of others for the same lock, by the time of the next attempt, and by the
/// release of the locks that calls wait for; of those it watches 1,000 at most, and the calls for others wait for their time.
///
/// ```
/// # use lock_runtime::{LockError, LockManager};
/// # async fn serve(locks: LockManager, database: String, stopped: tokio::sync::oneshot::Receiver<()>) -> Result<(), LockError> {
/// locks.worker().state(database).concurrency(8).run_until(stopped).await
/// # }
/// ```
#[must_use = "a worker does nothing before `run_until`"]
pub struct Worker {
    manager: LockManager,
    states: States,
    concurrency: usize,
    lease: Duration,
    grace: Duration,
}

impl Worker {
    pub(crate) fn new(manager: LockManager) -> Self {
        Self {
            manager,
            states: States::default(),
            concurrency: CONCURRENCY,
            lease: LEASE,
            grace: GRACE,
        }
    }

    /// Lends `value` to the `#[state]` parameters of its type; one value of each type, the last one counts.
    pub fn state<T: Any + Send + Sync>(mut self, value: T) -> Self {
        self.states = self.states.with(value);
        self
    }

    /// How many calls run side by side at most; 16 unless set.
    pub fn concurrency(mut self, calls: usize) -> Self {
        self.concurrency = calls;
        self
    }

    /// How soon the calls of a worker that died come back; 30 s unless set, at least 500 ms. Claims are kept while
    /// their calls run, however long that takes.
    pub fn claim_lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// How long running bodies may go on when the worker is to stop; 30 s unless set. Those that are left then are
    /// dropped, and their calls handed back.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Runs stored calls until `stop` resolves, whatever its output, or the manager is shut down. Then it takes no more
    /// calls, waits for the bodies that run, and hands back those that take longer than [`grace`](Self::grace). Stop the
    /// workers before their manager: a manager that is shut down stops leases, and gives what is to be told after them two
    /// seconds.
    ///
    /// A backend that is out of reach is waited for.
    ///
    /// # Errors
    ///
    /// At once: [`LockError::InvalidWorker`] when two functions of the program have one path, one has two `#[state]` of one
    /// type, or a setting cannot work; [`LockError::NoQueue`] when the manager's backend stores no calls;
    /// [`LockError::ShutDown`] when the manager is shut down.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with timers: bodies run as its tasks.
    ///
    /// # Cancel safety
    ///
    /// When this is dropped, so are the bodies that run; their locks are released and their calls are handed back.
    pub async fn run_until<F: Future>(self, stop: F) -> Result<(), LockError> {
        let invalid = |reason: String| Err(LockError::InvalidWorker { reason });
        if self.concurrency == 0 {
            return invalid("`concurrency` is 0, so that no call would ever run; give at least 1".to_owned());
        }
        if self.lease < SHORTEST_LEASE || self.lease > MAX_DURATION {
            return invalid(format!(
                "a `claim_lease` of {:?} cannot work; give at least {SHORTEST_LEASE:?} and at most 100 years",
                self.lease
            ));
        }
        if self.manager.0.closing.is_cancelled() {
            return Err(LockError::ShutDown { key: None });
        }
        let functions = Functions::of_this_program()?;
        functions
            .lacking(&self.states)
            .for_each(|lacking| telemetry::lacks_state(&lacking));
        let client = Client::of(&self.manager, None)?;
        run::until(self, functions, client, stop).await;
        Ok(())
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("manager", &self.manager)
            .field("concurrency", &self.concurrency)
            .finish_non_exhaustive()
    }
}
