//! A timeline: a clock, a runtime whose timers follow it, and the holds that live by it.
//!
//! A manager has one, on its lock thread. The in-process backend has another one in each runtime whose clock a test
//! has paused, so that leases live by the test's time.

use std::future::Future;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::alarms::{Alarms, Elapsed};
use crate::backend::Backend;
use crate::clock::{Clock, Moment};
use crate::hold::Hold;
use crate::line::Lines;
use crate::renewal;
use crate::schedule::Schedule;
use crate::thread::LockThread;

pub(crate) struct Timeline {
    pub(crate) clock: Clock,
    /// Where renewals, releases and waits run.
    runtime: Handle,
    schedule: Arc<Schedule>,
    alarms: Arc<Alarms>,
    /// Who waits for which lock.
    pub(crate) lines: Lines,
    backend: Arc<dyn Backend>,
    /// `None` on a runtime that is not ours.
    thread: Option<LockThread>,
}

impl Timeline {
    /// The real clock on a thread of our own.
    ///
    /// # Errors
    ///
    /// The operating system's, when it gives no thread.
    pub(crate) fn on_lock_thread(backend: Arc<dyn Backend>) -> std::io::Result<Self> {
        let (runtime, thread) = LockThread::start()?;
        Ok(Self {
            clock: Clock::Real,
            runtime,
            schedule: Arc::default(),
            alarms: Arc::default(),
            lines: Lines::default(),
            backend,
            thread: Some(thread),
        })
    }

    /// The paused clock of `runtime`.
    pub(crate) fn on_paused(runtime: Handle, backend: Arc<dyn Backend>) -> Self {
        Self {
            clock: Clock::Paused,
            runtime,
            schedule: Arc::default(),
            alarms: Arc::default(),
            lines: Lines::default(),
            backend,
            thread: None,
        }
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    pub(crate) fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.runtime.spawn(future)
    }

    /// Waits for `future` until `limit`, wherever this is awaited: the timer is ours.
    ///
    /// Cancel safe as far as `future` is.
    pub(crate) async fn within<F: Future>(&self, limit: Moment, future: F) -> Result<F::Output, Elapsed> {
        self.alarms.within(limit, self.clock, &self.runtime, future).await
    }

    /// From now on `hold` is renewed and watched.
    pub(crate) fn watch(&self, hold: Arc<Hold>) {
        if self.schedule.insert(hold) {
            let driver = renewal::drive(Arc::clone(&self.schedule), self.clock, Arc::clone(&self.backend));
            self.runtime.spawn(driver);
        }
    }

    pub(crate) fn forget(&self, hold: &Hold) {
        self.schedule.remove(hold.id);
    }

    /// Ends the driver, and the lock thread with everything that runs there.
    pub(crate) fn stop(&self) {
        self.schedule.stop();
        if let Some(thread) = &self.thread {
            thread.stop();
        }
    }

    /// Every hold that has not ended.
    pub(crate) fn holds(&self) -> Vec<Arc<Hold>> {
        self.schedule.holds()
    }
}
