//! The table of stored calls, and the steps of a call that waits, as `backend/queue.rs` draws them.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use uuid::Uuid;

use super::super::super::queue::{Cancelling, Found, NewCall, REMEMBERED, Storing};
use super::millis;

/// Whom a step is news for.
#[derive(Default)]
pub(super) struct Rings {
    /// Workers: something may be claimed.
    pub(super) bell: bool,
    /// Calls that ended or died.
    pub(super) ended: Vec<Uuid>,
}

/// When, and which call: an order that calls stand in.
pub(super) type Order = BTreeSet<(u64, Uuid)>;

#[derive(Default)]
pub(super) struct Table {
    pub(super) calls: HashMap<Uuid, Call>,
    /// The calls of each lane that have not ended and are not dead, in the order in which they were stored.
    pub(super) lanes: HashMap<String, BTreeMap<u64, Uuid>>,
    /// Those that wait and were due when that was last looked at.
    pub(super) due: Order,
    /// Those that wait and were not.
    pub(super) delayed: Order,
    /// The first of each lane, if it waits, by the time from which it may be claimed.
    pub(super) heads: Order,
    pub(super) running: Order,
    /// By the time of death, and among those of one moment in the order in which they died.
    pub(super) dead: BTreeMap<(u64, u64), Uuid>,
    /// The call of each claim.
    pub(super) claims: HashMap<Uuid, Uuid>,
    /// How calls ended, and until when that is remembered.
    pub(super) ended: HashMap<Uuid, Found>,
    pub(super) forget: VecDeque<(u64, Uuid)>,
    pub(super) sequence: u64,
}

pub(super) struct Call {
    pub(super) lane: String,
    pub(super) sequence: u64,
    pub(super) payload: String,
    pub(super) stored: u64,
    pub(super) due: u64,
    pub(super) delay: Duration,
    pub(super) attempts: u32,
    pub(super) tried: u32,
    /// It waits for its lock: a release makes it due.
    pub(super) for_lock: bool,
    pub(super) place: Place,
    pub(super) cause: Option<String>,
    pub(super) error: Option<String>,
}

pub(super) enum Place {
    /// From when it may be claimed, if it is the first of its lane.
    Waiting {
        head: Option<u64>,
    },
    Running {
        token: Uuid,
        until: u64,
        worker: String,
    },
    Dead {
        /// When, and its place among all that happened.
        since: (u64, u64),
    },
}

impl Table {
    pub(super) fn store(&mut self, new: &NewCall, now: u64, rings: &mut Rings) -> Storing {
        if self.calls.contains_key(&new.id) || self.ended.contains_key(&new.id) {
            return Storing::Stored;
        }
        let alive = self.due.len() + self.delayed.len() + self.running.len();
        let alive = u64::try_from(alive).unwrap_or(u64::MAX);
        if alive >= new.limit {
            return Storing::Full(alive);
        }
        let call = Call {
            lane: new.lane.clone(),
            sequence: 0,
            payload: new.payload.clone(),
            stored: now,
            due: now.saturating_add(millis(new.delay)),
            delay: new.delay,
            attempts: new.attempts,
            tried: 0,
            for_lock: true,
            place: Place::Waiting { head: None },
            cause: None,
            error: None,
        };
        self.append(new.id, call, rings);
        Storing::Stored
    }

    /// Puts a waiting call at the end of its lane.
    fn append(&mut self, id: Uuid, mut call: Call, rings: &mut Rings) {
        self.sequence += 1;
        call.sequence = self.sequence;
        let lane = self.lanes.entry(call.lane.clone()).or_default();
        lane.insert(call.sequence, id);
        let is_first = lane.len() == 1;
        let due = call.due;
        self.delayed.insert((due, id));
        self.calls.insert(id, call);
        if is_first {
            self.make_head(id, due);
            rings.bell = true;
        }
    }

    pub(super) fn make_head(&mut self, id: Uuid, from: u64) {
        if let Some(Call {
            place: Place::Waiting { head },
            ..
        }) = self.calls.get_mut(&id)
        {
            if let Some(before) = head.replace(from) {
                self.heads.remove(&(before, id));
            }
            self.heads.insert((from, id));
        }
    }

    /// Takes a call out of the orders of those that wait.
    pub(super) fn stop_waiting(&mut self, id: Uuid) {
        let Some(call) = self.calls.get(&id) else {
            return;
        };
        let place = (call.due, id);
        if !self.due.remove(&place) {
            self.delayed.remove(&place);
        }
        if let Place::Waiting { head: Some(from) } = call.place {
            self.heads.remove(&(from, id));
        }
    }

    pub(super) fn stop_running(&mut self, id: Uuid) {
        if let Some(Call {
            place: Place::Running { token, until, .. },
            ..
        }) = self.calls.get(&id)
        {
            self.claims.remove(token);
            self.running.remove(&(*until, id));
        }
    }

    /// The next of the lane may go: at once, if it waits for the lock that was probably released just now.
    pub(super) fn leave_lane(&mut self, id: Uuid, now: u64, rings: &mut Rings) {
        let Some(call) = self.calls.get(&id) else {
            return;
        };
        let Some(lane) = self.lanes.get_mut(&call.lane) else {
            return;
        };
        lane.remove(&call.sequence);
        let Some(&next) = lane.values().next() else {
            let lane = call.lane.clone();
            self.lanes.remove(&lane);
            return;
        };
        let Some(call) = self.calls.get_mut(&next) else {
            return;
        };
        if !matches!(call.place, Place::Waiting { head: None }) {
            return;
        }
        if call.for_lock {
            // The first look is early, and costs no attempt.
            let before = (call.due, next);
            call.due = call.due.max(now.saturating_add(millis(call.delay)));
            let planned = (call.due, next);
            if !self.due.remove(&before) {
                self.delayed.remove(&before);
            }
            self.delayed.insert(planned);
            self.make_head(next, now);
        } else {
            let due = call.due;
            self.make_head(next, due);
        }
        rings.bell = true;
    }

    pub(super) fn remove(&mut self, id: Uuid, end: Found, now: u64, rings: &mut Rings) {
        self.stop_waiting(id);
        self.stop_running(id);
        if let Some(Call {
            place: Place::Dead { since },
            ..
        }) = self.calls.get(&id)
        {
            self.dead.remove(since);
        } else {
            self.leave_lane(id, now, rings);
        }
        self.calls.remove(&id);
        self.remember(id, end, now);
        rings.ended.push(id);
    }

    fn remember(&mut self, id: Uuid, end: Found, now: u64) {
        while let Some(&(_, old)) = self.forget.front().filter(|(until, _)| *until <= now) {
            self.ended.remove(&old);
            self.forget.pop_front();
        }
        self.ended.insert(id, end);
        self.forget.push_back((now.saturating_add(millis(REMEMBERED)), id));
    }

    pub(super) fn withdraw(&mut self, id: Uuid, now: u64, rings: &mut Rings) {
        if self.cancel(id, now, rings) == Cancelling::Nothing && !self.ended.contains_key(&id) {
            self.remember(id, Found::Cancelled, now);
        }
    }

    pub(super) fn hasten(&mut self, id: Uuid, now: u64, rings: &mut Rings) {
        let waits = self.calls.get(&id).is_some_and(|call| {
            call.for_lock && matches!(call.place, Place::Waiting { head: Some(from) } if from > now)
        });
        if waits {
            self.make_head(id, now);
            rings.bell = true;
        }
    }

    pub(super) fn cancel(&mut self, id: Uuid, now: u64, rings: &mut Rings) -> Cancelling {
        match self.calls.get(&id).map(|call| &call.place) {
            None => match self.ended.get(&id) {
                // Asked twice.
                Some(Found::Cancelled) => Cancelling::Cancelled,
                _ => Cancelling::Nothing,
            },
            Some(Place::Running { .. }) => Cancelling::Running,
            Some(Place::Waiting { .. } | Place::Dead { .. }) => {
                self.remove(id, Found::Cancelled, now, rings);
                Cancelling::Cancelled
            }
        }
    }

    pub(super) fn send_back(&mut self, id: Uuid, now: u64, rings: &mut Rings) -> bool {
        let Some(Call {
            place: Place::Dead { since },
            ..
        }) = self.calls.get(&id)
        else {
            return false;
        };
        self.dead.remove(since);
        let Some(call) = self.calls.remove(&id) else {
            return false;
        };
        let again = Call {
            due: now,
            tried: 0,
            for_lock: true,
            place: Place::Waiting { head: None },
            cause: None,
            error: None,
            ..call
        };
        self.append(id, again, rings);
        true
    }

    pub(super) fn dead_until(&self, until: u64, limit: u32) -> Vec<Uuid> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let dead = self.dead.range(..=(until, u64::MAX));
        dead.take(limit).map(|(_, id)| *id).collect()
    }
}
