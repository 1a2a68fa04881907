//! One timer for all holds of a timeline: who is to be renewed, or is lost, at which moment; and for those who wait in
//! this process.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use tokio::sync::Notify;

use crate::clock::Moment;
use crate::hold::Hold;
use crate::prefetch::prefetch;
use crate::timetable::Timetable;

/// Every hold that has not ended, and when it wants to be looked at.
#[derive(Default)]
pub(crate) struct Schedule {
    /// A std mutex: held for a few operations on the tables, never across an await.
    state: Mutex<State>,
    /// Tells the driver that something is due earlier than it thinks, or that it is to end.
    changed: Notify,
    /// When every hold was to be renewed last, in nanoseconds.
    hurried: AtomicU64,
    /// The driver is to end.
    stopped: AtomicBool,
}

struct State {
    holds: Timetable<Arc<Hold>>,
    /// Who is to be woken. An alarm that has rung stays until its owner is gone.
    alarms: Timetable<Waker>,
    /// When the driver looks again by itself. Not moved to later before its time has come: then short holds wake nobody.
    next_look: Moment,
    /// Whether a driver runs. It ends with its runtime.
    driven: bool,
}

/// Where the schedule has a hold. Only read and changed under its mutex.
pub(crate) struct Place(AtomicUsize);

impl Default for State {
    fn default() -> Self {
        Self {
            holds: Timetable::default(),
            alarms: Timetable::default(),
            next_look: Moment::NEVER,
            driven: false,
        }
    }
}

impl Default for Place {
    fn default() -> Self {
        Self(AtomicUsize::new(usize::MAX))
    }
}

impl Schedule {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics between two changes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a hold. Whether a driver must be started.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn insert(&self, hold: &Arc<Hold>) -> bool {
        self.insert_instead(None, hold)
    }

    /// As [`insert`](Self::insert), and takes this alarm back.
    #[must_use]
    pub(crate) fn insert_instead(&self, alarm: Option<usize>, hold: &Arc<Hold>) -> bool {
        let at = hold.next_event();
        let mut state = self.state();
        let disarmed = alarm.and_then(|place| state.alarms.remove(place));
        let place = state.holds.insert(at, Arc::clone(hold));
        hold.place.0.store(place, Ordering::Relaxed);
        self.comes(&mut state, at);
        let is_driven = std::mem::replace(&mut state.driven, true);
        drop(state);
        // The drop of a waker runs other people's code.
        drop(disarmed);
        !is_driven
    }

    /// Reads anew when each of `holds` wants to be looked at. Without effect on those that have ended.
    pub(crate) fn update<'a>(&self, holds: impl IntoIterator<Item = &'a Arc<Hold>>) {
        let mut state = self.state();
        // All of them are looked for before the first is moved, for the same reason as in `prefetch`.
        let moments: Vec<_> = holds
            .into_iter()
            .filter_map(|hold| Some((state.place(hold)?, hold.next_event())))
            .collect();
        let mut first = Moment::NEVER;
        for (place, at) in moments {
            state.holds.set(place, at);
            first = first.min(at);
        }
        self.comes(&mut state, first);
    }

    /// Forgets a hold that has ended.
    pub(crate) fn remove(&self, hold: &Hold) {
        let mut state = self.state();
        let removed = state.place(hold).and_then(|place| state.holds.remove(place));
        hold.place.0.store(usize::MAX, Ordering::Relaxed);
        drop(state);
        // The hold's last reference may go here, and its drop must not find the mutex locked.
        drop(removed);
    }

    /// Every hold that has not ended.
    pub(crate) fn holds(&self) -> Vec<Arc<Hold>> {
        self.state().holds.entries().cloned().collect()
    }

    /// Every hold is to be renewed at once: what the backend has stored may be gone.
    pub(crate) fn hurry(&self, now: Moment) {
        // First, for those who are not there yet.
        self.hurried.store(now.as_nanos(), Ordering::SeqCst);
        let holds = self.holds();
        for hold in &holds {
            hold.hurry(now);
        }
        self.update(&holds);
    }

    /// Whether every hold was to be renewed after this moment.
    pub(crate) fn was_disturbed_after(&self, moment: Moment) -> bool {
        self.hurried.load(Ordering::SeqCst) > moment.as_nanos()
    }

    /// Takes out what is due at `now`.
    pub(crate) fn take_due(&self, now: Moment) -> Vec<Arc<Hold>> {
        let mut state = self.state();
        let places = state.holds.take_due(now);
        let mut due = Vec::with_capacity(places.len());
        // After a disturbance it is every hold: no more of them at a time than a cache takes.
        for some in places.chunks(256) {
            let holds = || some.iter().filter_map(|&place| state.holds.get(place));
            prefetch(holds().map(Arc::as_ref));
            due.extend(holds().cloned());
        }
        due
    }

    /// Wakes whose alarm is due at `now`.
    pub(crate) fn ring(&self, now: Moment) {
        let mut state = self.state();
        let places = state.alarms.take_due(now);
        let due: Vec<_> = places
            .iter()
            .filter_map(|&place| state.alarms.get(place).cloned())
            .collect();
        drop(state);
        due.into_iter().for_each(Waker::wake);
    }

    /// Wakes everybody who has an alarm.
    pub(crate) fn ring_all(&self) {
        let all: Vec<_> = self.state().alarms.entries().cloned().collect();
        all.into_iter().for_each(Waker::wake);
    }

    /// Sets a new alarm, or that of `place`. Its place, and whether a driver must be started.
    #[must_use]
    pub(crate) fn alarm(&self, place: Option<usize>, at: Moment, waker: &Waker) -> (usize, bool) {
        let mut state = self.state();
        let place = match place {
            None => state.alarms.insert(at, waker.clone()),
            Some(place) => {
                state.alarms.set(place, at);
                let before = state.alarms.get_mut(place).filter(|before| !before.will_wake(waker));
                let before = before.map(|before| std::mem::replace(before, waker.clone()));
                self.comes(&mut state, at);
                drop(state);
                // The drop of a waker runs other people's code.
                drop(before);
                return (place, false);
            }
        };
        self.comes(&mut state, at);
        (place, !std::mem::replace(&mut state.driven, true))
    }

    #[cfg(test)]
    pub(crate) fn alarms(&self) -> usize {
        self.state().alarms.entries().count()
    }

    /// Takes an alarm back.
    pub(crate) fn disarm(&self, place: usize) {
        let removed = self.state().alarms.remove(place);
        // A waker's drop may run other people's code; the mutex is free by now.
        drop(removed);
    }

    /// Notes and gives the moment of the next look. `now`: of the last one.
    pub(crate) fn next_look(&self, now: Moment) -> Moment {
        let mut state = self.state();
        let first = state.holds.first().min(state.alarms.first());
        state.next_look = if state.next_look > now {
            first.min(state.next_look)
        } else {
            first
        };
        state.next_look
    }

    /// Resolves when something is due earlier than the last [`next_look`](Self::next_look) said. Cancel safe.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Ends the driver.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// The driver is gone; the next hold starts another.
    pub(crate) fn undriven(&self) {
        let mut state = self.state();
        state.driven = false;
        state.next_look = Moment::NEVER;
    }

    /// Something is to happen at `at`.
    fn comes(&self, state: &mut State, at: Moment) {
        if at < state.next_look {
            state.next_look = at;
            self.changed.notify_one();
        }
    }
}

impl State {
    /// Where `hold` is, if it is here.
    fn place(&self, hold: &Hold) -> Option<usize> {
        let place = hold.place.0.load(Ordering::Relaxed);
        let found = self.holds.get(place)?;
        (found.id == hold.id).then_some(place)
    }
}

#[cfg(test)]
#[path = "tests/schedule.rs"]
mod tests;
