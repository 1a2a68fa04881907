//! One timer for all holds of a timeline: who is to be renewed, or is lost, at which moment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::clock::Moment;
use crate::hold::{Hold, HoldId};

/// Every hold that has not ended, and when it wants to be looked at.
#[derive(Default)]
pub(crate) struct Schedule {
    /// A std mutex: held for a few map operations, never across an await.
    state: Mutex<State>,
    /// Tells the driver that something is due earlier than it thinks, or that it is to end.
    changed: Notify,
    /// The driver is to end.
    stopped: AtomicBool,
}

struct State {
    /// All holds, with the moment under which they stand in `order`; `NEVER`: not there.
    holds: BTreeMap<HoldId, (Moment, Arc<Hold>)>,
    order: BTreeSet<(Moment, HoldId)>,
    /// When the driver looks again by itself. Not moved when a hold ends, so that short holds wake nobody.
    next_look: Moment,
    /// Whether a driver runs. It ends with its runtime.
    driven: bool,
}

impl Default for State {
    fn default() -> Self {
        Self {
            holds: BTreeMap::new(),
            order: BTreeSet::new(),
            next_look: Moment::NEVER,
            driven: false,
        }
    }
}

impl Schedule {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics between two changes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a hold. Whether a driver must be started.
    #[must_use]
    pub(crate) fn insert(&self, hold: Arc<Hold>) -> bool {
        let mut state = self.state();
        let at = hold.next_event();
        let id = hold.id;
        state.holds.insert(id, (Moment::NEVER, hold));
        self.place(&mut state, id, at);
        !std::mem::replace(&mut state.driven, true)
    }

    /// Reads anew when `hold` wants to be looked at. Without effect when it has ended.
    pub(crate) fn update(&self, hold: &Hold) {
        let at = hold.next_event();
        self.place(&mut self.state(), hold.id, at);
    }

    /// Forgets a hold that has ended.
    pub(crate) fn remove(&self, id: HoldId) {
        let mut state = self.state();
        let removed = state.holds.remove(&id);
        if let Some((at, _)) = &removed {
            state.order.remove(&(*at, id));
        }
        drop(state);
        // The hold's last reference may go here, and its drop must not find the mutex locked.
        drop(removed);
    }

    /// Every hold that has not ended.
    pub(crate) fn holds(&self) -> Vec<Arc<Hold>> {
        self.state().holds.values().map(|(_, hold)| Arc::clone(hold)).collect()
    }

    /// Every hold is to be renewed at once: what the backend has stored may be gone.
    pub(crate) fn hurry(&self, now: Moment) {
        for hold in self.holds() {
            hold.hurry(now);
            self.update(&hold);
        }
    }

    /// Takes out what is due at `now`.
    pub(crate) fn take_due(&self, now: Moment) -> Vec<Arc<Hold>> {
        let mut guard = self.state();
        let state = &mut *guard;
        let mut due = Vec::new();
        while let Some(&(at, id)) = state.order.first().filter(|(at, _)| *at <= now) {
            state.order.remove(&(at, id));
            if let Some((place, hold)) = state.holds.get_mut(&id) {
                *place = Moment::NEVER;
                due.push(Arc::clone(hold));
            }
        }
        due
    }

    /// Notes and gives the moment of the next look.
    pub(crate) fn next_look(&self) -> Moment {
        let mut state = self.state();
        state.next_look = state.order.first().map_or(Moment::NEVER, |(at, _)| *at);
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

    fn place(&self, state: &mut State, id: HoldId, at: Moment) {
        let Some((place, _)) = state.holds.get_mut(&id) else {
            return;
        };
        let before = std::mem::replace(place, at);
        state.order.remove(&(before, id));
        if at != Moment::NEVER {
            state.order.insert((at, id));
        }
        if at < state.next_look {
            state.next_look = at;
            self.changed.notify_one();
        }
    }
}

#[cfg(test)]
#[path = "tests/schedule.rs"]
mod tests;
