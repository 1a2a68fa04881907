//! Time limits for what is waited for on somebody else's runtime: that may have no timers, or a paused clock.
//!
//! The limits of a manager's callers are kept by its own timeline, with one timer. A limit that is not reached costs two
//! map operations: the timer is not moved for it, so that short waits wake nobody.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::clock::{Clock, Moment};

#[derive(Default)]
pub(crate) struct Alarms {
    /// A std mutex, held for a few map operations and never while somebody is woken.
    state: Mutex<State>,
    /// Tells the timer that something is due earlier than it thinks.
    changed: Notify,
}

struct State {
    set: BTreeMap<(Moment, u64), Waker>,
    /// How many were ever set.
    count: u64,
    /// When the timer looks again by itself.
    next_look: Moment,
    /// Whether there is a timer.
    driven: bool,
    /// The runtime has ended, and with it the timer: every limit counts as reached.
    is_over: bool,
}

impl Default for State {
    fn default() -> Self {
        Self {
            set: BTreeMap::new(),
            count: 0,
            next_look: Moment::NEVER,
            driven: false,
            is_over: false,
        }
    }
}

/// The limit was reached first.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Elapsed;

impl Alarms {
    /// Waits for `future` until `limit` on `clock`; `runtime` is where the timer runs.
    ///
    /// Cancel safe as far as `future` is.
    pub(crate) async fn within<F: Future>(
        self: &Arc<Self>,
        limit: Moment,
        clock: Clock,
        runtime: &Handle,
        future: F,
    ) -> Result<F::Output, Elapsed> {
        let mut future = std::pin::pin!(future);
        let mut alarm = Alarm {
            alarms: self,
            limit,
            set: None,
        };
        poll_fn(move |context| {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Ok(output));
            }
            alarm.poll(context, clock, runtime).map(Err)
        })
        .await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes out who is to be woken at `now`, and notes the moment of the next look.
    fn take_due(&self, now: Moment) -> (Vec<Waker>, Moment) {
        let mut state = self.state();
        let later = state.set.split_off(&(now, u64::MAX));
        let due = std::mem::replace(&mut state.set, later);
        state.next_look = state
            .set
            .first_key_value()
            .map_or(Moment::NEVER, |(&(limit, _), _)| limit);
        (due.into_values().collect(), state.next_look)
    }
}

/// The timer: wakes whose limit is reached, until its runtime ends.
struct Timer(Arc<Alarms>);

impl Timer {
    async fn run(self, clock: Clock) {
        loop {
            let (due, next) = self.0.take_due(clock.now());
            due.into_iter().for_each(Waker::wake);
            // Either only leads to a look at everything.
            tokio::select! {
                biased;
                () = self.0.changed.notified() => {}
                () = clock.sleep_until(next) => {}
            }
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.is_over = true;
        let waiting = std::mem::take(&mut state.set);
        drop(state);
        waiting.into_values().for_each(Waker::wake);
    }
}

/// One limit.
struct Alarm<'a> {
    alarms: &'a Arc<Alarms>,
    limit: Moment,
    set: Option<(u64, Waker)>,
}

impl Alarm<'_> {
    fn poll(&mut self, context: &Context<'_>, clock: Clock, runtime: &Handle) -> Poll<Elapsed> {
        match &self.set {
            Some((_, waker)) if waker.will_wake(context.waker()) => {}
            _ => self.set(context.waker(), clock, runtime),
        }
        // After it was set: what is due from here on wakes the caller.
        let is_over = clock.now() >= self.limit || self.alarms.state().is_over;
        if is_over { Poll::Ready(Elapsed) } else { Poll::Pending }
    }

    fn set(&mut self, waker: &Waker, clock: Clock, runtime: &Handle) {
        let mut state = self.alarms.state();
        let number = self.set.as_ref().map_or(state.count, |(number, _)| *number);
        state.count = state.count.max(number + 1);
        let before = state.set.insert((self.limit, number), waker.clone());
        let is_earlier = self.limit < state.next_look;
        state.next_look = state.next_look.min(self.limit);
        let driven = std::mem::replace(&mut state.driven, true);
        drop(state);
        drop(before);
        self.set = Some((number, waker.clone()));
        if !driven {
            runtime.spawn(Timer(Arc::clone(self.alarms)).run(clock));
        } else if is_earlier {
            self.alarms.changed.notify_one();
        }
    }
}

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if let Some((number, _)) = self.set.take() {
            let waker = self.alarms.state().set.remove(&(self.limit, number));
            drop(waker);
        }
    }
}
