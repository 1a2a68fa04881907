//! The table of locks. Whoever releases one gives it to the next in its line.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use uuid::Uuid;

use super::super::{Acquired, Claim, Leave, Released, Renewed, Stored, Value};
#[cfg(feature = "queue")]
use super::calls::Shelf;
use super::line::{Line, Woken};
use super::listening::Listening;
use crate::Fence;
use crate::clock::{Clock, Moment};

/// A std mutex, because it is held for a few map operations and never across an await.
pub(crate) struct Store {
    tables: Mutex<Tables>,
    /// One moment on the wall, in microseconds since 1970, and on the lease clock.
    origin: (u64, Moment),
    /// The stored calls of each namespace. A std mutex, held for a look.
    #[cfg(feature = "queue")]
    shelves: Mutex<HashMap<String, Arc<Shelf>>>,
}

#[derive(Default)]
pub(super) struct Tables {
    /// The locks that are held or waited for, and some that were: most are taken again soon.
    pub(super) locks: HashMap<Box<str>, Lock>,
    pub(super) listening: Listening,
    /// The last fence that was given to any hold of any name.
    last_fence: u64,
    /// How many entries `locks` may have before those that nobody uses are swept out.
    sweep_at: usize,
}

#[derive(Default)]
pub(super) struct Lock {
    pub(super) holder: Option<Holder>,
    pub(super) line: Line,
}

pub(super) struct Holder {
    pub(super) value: Value,
    pub(super) fence: Fence,
    /// When it was granted; by its own clock, as the next.
    pub(super) since: Moment,
    pub(super) expires: Moment,
}

/// Fewer entries are never swept out.
const KEPT: usize = 1_024;

impl Default for Store {
    fn default() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            tables: Mutex::default(),
            origin: (u64::try_from(wall.as_micros()).unwrap_or_default(), Clock::Real.now()),
            #[cfg(feature = "queue")]
            shelves: Mutex::default(),
        }
    }
}

impl Store {
    pub(super) fn tables(&self) -> MutexGuard<'_, Tables> {
        // No operation panics half-way through a change, so a poisoned table is still a whole one.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(feature = "queue")]
    pub(super) fn shelf(&self, namespace: &str) -> Arc<Shelf> {
        let mut shelves = self.shelves.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(shelves.entry(namespace.to_owned()).or_default())
    }

    /// The time in microseconds since 1970.
    pub(super) fn micros(&self, now: Moment) -> u64 {
        let (wall, moment) = self.origin;
        // A clock that was paused may lie before the origin.
        (wall + now.nanos_since(moment) / 1_000).saturating_sub(moment.nanos_since(now) / 1_000)
    }

    /// Makes `claim` the holder if nobody else is, and nobody waits to be. `clock`: what `now` was read from, as below.
    pub(crate) fn acquire(&self, claim: &Claim, ttl: Duration, clock: Clock, now: Moment) -> Acquired {
        let mut guard = self.tables();
        let tables = &mut *guard;
        let next = tables.next_fence(self.micros(now));
        let Some(lock) = tables.locks.get_mut(&*claim.name) else {
            let mut lock = Lock::default();
            lock.hold(claim.value.clone(), next, ttl, now);
            tables.sweep(now);
            tables.locks.insert(claim.name.as_str().into(), lock);
            return Acquired::Granted(next);
        };
        let is_own = match lock.alive(now) {
            Some(holder) if holder.value.token != claim.value.token => {
                return Acquired::Busy(Some(holder.expires.since(now)));
            }
            holder => holder.is_some(),
        };
        if !is_own && !lock.line.is_empty() {
            // The last holder's time was over, and somebody was there before.
            let woken = lock.pass_on(next, clock, now);
            let remaining = lock.alive(now).map(|holder| holder.expires.since(now));
            drop(guard);
            woken.wake();
            return Acquired::Busy(remaining);
        }
        lock.hold(claim.value.clone(), next, ttl, now);
        Acquired::Granted(next)
    }

    pub(crate) fn renew(&self, claim: &Claim, ttl: Duration, now: Moment) -> Renewed {
        match self.tables().holder(&claim.name, now) {
            None => Renewed::Missing,
            Some(holder) if holder.value.token != claim.value.token => Renewed::Taken,
            Some(holder) => {
                holder.expires = now.plus(ttl);
                Renewed::Extended
            }
        }
    }

    /// Ends the hold of `claim` and gives the lock to the next in line.
    pub(crate) fn release(&self, claim: &Claim, leave: Leave, clock: Clock, now: Moment) -> Released {
        let mut guard = self.tables();
        let tables = &mut *guard;
        let next = tables.next_fence(self.micros(now));
        let Some(lock) = tables.locks.get_mut(&*claim.name) else {
            return Released::Missing;
        };
        match &mut lock.holder {
            Some(holder) if holder.value.token == claim.value.token => {
                let woken = match leave {
                    Leave::TakenFor(rest) => {
                        holder.expires = now.plus(rest);
                        // It may expire earlier than who waits believes.
                        Woken([None, lock.misled()])
                    }
                    Leave::Nothing => lock.free(next, clock, now),
                };
                if woken.is_nobody() {
                    tables.listening.wake(&claim.name);
                }
                drop(guard);
                woken.wake();
                Released::Done
            }
            Some(holder) if holder.expires > now => Released::Taken,
            Some(_) | None => Released::Missing,
        }
    }

    pub(super) fn inspect(&self, name: &str, now: Moment) -> Option<Stored> {
        self.tables().holder(name, now).map(|holder| Stored {
            value: holder.value.text(),
            remaining: Some(holder.expires.since(now)),
        })
    }

    pub(super) fn force_release(&self, name: &str, clock: Clock, now: Moment) -> bool {
        let mut guard = self.tables();
        let tables = &mut *guard;
        let next = tables.next_fence(self.micros(now));
        let Some(lock) = tables.locks.get_mut(name) else {
            return false;
        };
        let held = lock.alive(now).is_some();
        let woken = lock.free(next, clock, now);
        if woken.is_nobody() {
            tables.listening.wake(name);
        }
        drop(guard);
        woken.wake();
        held
    }
}

impl Tables {
    /// The holder of `name` if its time is not over.
    fn holder(&mut self, name: &str, now: Moment) -> Option<&mut Holder> {
        self.locks.get_mut(name)?.alive(now)
    }

    /// Throws out what nobody uses, once the table has doubled since the last time: constant cost for each new lock.
    pub(super) fn sweep(&mut self, now: Moment) {
        if self.locks.len() >= self.sweep_at {
            self.locks
                .retain(|_, lock| lock.alive(now).is_some() || !lock.line.is_empty());
            self.sweep_at = (self.locks.len() * 2).max(KEPT);
        }
    }

    /// By the same rule as on a server: the larger of the last plus one and the time in microseconds. One that is not
    /// used is no harm.
    pub(super) fn next_fence(&mut self, micros: u64) -> Fence {
        self.last_fence = micros.max(self.last_fence + 1);
        Fence::from(self.last_fence)
    }
}

impl Lock {
    pub(super) fn hold(&mut self, value: Value, fence: Fence, ttl: Duration, since: Moment) {
        self.holder = Some(Holder {
            value,
            fence,
            since,
            expires: since.plus(ttl),
        });
    }

    pub(super) fn alive(&mut self, now: Moment) -> Option<&mut Holder> {
        self.holder.as_mut().filter(|holder| holder.expires > now)
    }

    pub(super) fn is_held_by(&self, token: Uuid) -> bool {
        self.holder.as_ref().is_some_and(|holder| holder.value.token == token)
    }

    /// Ends whatever hold there is. Who has it now, to be woken.
    pub(super) fn free(&mut self, next: Fence, clock: Clock, now: Moment) -> Woken {
        self.holder = None;
        self.pass_on(next, clock, now)
    }

    /// Makes the first in line the holder.
    pub(super) fn pass_on(&mut self, next: Fence, clock: Clock, now: Moment) -> Woken {
        let Some(first) = self.line.take_first() else {
            return Woken::NOBODY;
        };
        // The lease counts by the clock of its holder.
        let since = if first.clock == clock { now } else { first.clock.now() };
        self.hold(first.value, next, first.ttl, since);
        Woken([Some(first.waker), self.misled()])
    }
}

#[cfg(test)]
#[path = "tests/store.rs"]
mod tests;
