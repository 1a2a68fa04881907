//! A timeline: a clock, a runtime whose timers follow it, and the holds that live by it.
//!
//! A manager has one, on its lock thread. The in-process backend has another one in each runtime whose clock a test
//! has paused, so that leases live by the test's time.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, Waker};

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

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
    /// Who waits for which lock.
    pub(crate) lines: Arc<Lines>,
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
            lines: Arc::default(),
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
            lines: Arc::default(),
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

    /// Waits for `future` until `limit`, wherever this is awaited: the timer is ours, because the caller's runtime may have
    /// none, or a paused clock.
    ///
    /// Cancel safe as far as `future` is.
    pub(crate) async fn within<F: Future>(&self, limit: Moment, future: F) -> Result<F::Output, Elapsed> {
        let mut future = pin!(future);
        let mut armed = Armed(self, Alarm::default());
        let mut waker: Option<Waker> = None;
        poll_fn(|context| {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Ok(output));
            }
            if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                waker = Some(context.waker().clone());
                self.set(&mut armed.1, limit, context.waker());
            }
            // After it was set: what comes from here on wakes the caller.
            if self.clock.now() >= limit || self.schedule.is_stopped() {
                return Poll::Ready(Err(Elapsed));
            }
            Poll::Pending
        })
        .await
    }

    /// From now on `hold` is renewed and watched.
    pub(crate) fn watch(&self, hold: &Arc<Hold>) {
        self.watch_instead(Alarm::default(), hold);
    }

    /// As [`watch`](Self::watch), and `alarm` is taken back.
    pub(crate) fn watch_instead(&self, alarm: Alarm, hold: &Arc<Hold>) {
        if self.schedule.insert_instead(alarm.0, hold) {
            self.drive();
        }
        // After it was inserted: a disturbance from here on finds it.
        if self.schedule.was_disturbed_after(hold.confirmed()) {
            hold.hurry(self.clock.now());
            self.schedule.update([hold]);
        }
    }

    fn drive(&self) {
        let driver = renewal::drive(
            Arc::clone(&self.schedule),
            Arc::clone(&self.lines),
            self.clock,
            Arc::clone(&self.backend),
        );
        self.runtime.spawn(driver);
    }

    pub(crate) fn forget(&self, hold: &Hold) {
        self.schedule.remove(hold);
    }

    /// From now on the alarm is for this moment and this task.
    pub(crate) fn set(&self, alarm: &mut Alarm, at: Moment, waker: &Waker) {
        let (place, undriven) = self.schedule.alarm(alarm.0, at, waker);
        alarm.0 = Some(place);
        if undriven {
            self.drive();
        }
    }

    /// Takes an alarm back.
    pub(crate) fn disarm(&self, alarm: &mut Alarm) {
        if let Some(place) = alarm.0.take() {
            self.schedule.disarm(place);
        }
    }

    /// Rings every alarm: there is something new for whoever waits.
    pub(crate) fn ring_all(&self) {
        self.schedule.ring_all();
    }

    /// Ends the driver, and the lock thread with everything that runs there.
    pub(crate) fn stop(&self) {
        self.schedule.stop();
        self.schedule.ring_all();
        if let Some(thread) = &self.thread {
            thread.stop();
        }
    }

    /// Every hold that has not ended.
    pub(crate) fn holds(&self) -> Vec<Arc<Hold>> {
        self.schedule.holds()
    }
}

/// The limit was reached first, or the timeline has ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Elapsed;

/// Wakes a task at a moment. Much cheaper than a timer of the runtime when it is mostly taken back, and it needs none. Whoever
/// has set it [takes it back](Timeline::disarm). `None`: it was never set.
#[derive(Default)]
pub(crate) struct Alarm(Option<usize>);

/// An alarm that is taken back when it goes out of scope.
struct Armed<'a>(&'a Timeline, Alarm);

impl Drop for Armed<'_> {
    fn drop(&mut self) {
        let Armed(timeline, alarm) = self;
        timeline.disarm(alarm);
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;
    use crate::Key;
    use crate::scripted::{Scripted, ms};

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_within_a_limit_leaves_no_alarm() {
        let (_, shared) = Scripted::default().shared();
        let timeline = shared.timeline(&Key::from("k")).unwrap();
        let limit = timeline.clock.now().plus(ms(50));
        let soon = tokio::time::sleep(ms(10));
        assert_eq!(timeline.within(limit, soon).await, Ok(()));
        assert_eq!(timeline.schedule.alarms(), 0, "after an answer");
        assert_eq!(timeline.within(limit, ready(())).await, Ok(()));
        {
            let mut given_up = pin!(timeline.within(limit, std::future::pending::<()>()));
            assert!(futures_util::poll!(&mut given_up).is_pending());
            assert_eq!(timeline.schedule.alarms(), 1, "while it waits");
        }
        assert_eq!(timeline.schedule.alarms(), 0, "given up");
        let never = std::future::pending::<()>();
        assert_eq!(timeline.within(limit, never).await, Err(Elapsed));
        assert_eq!(timeline.schedule.alarms(), 0, "after the limit");
    }
}
