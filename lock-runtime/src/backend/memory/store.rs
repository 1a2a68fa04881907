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
#[derive(Default)]
pub(crate) struct Store {
    tables: Mutex<Tables>,
    /// The stored calls of each namespace. A std mutex, held for a look.
    #[cfg(feature = "queue")]
    shelves: Mutex<HashMap<String, Arc<Shelf>>>,
}

#[derive(Default)]
pub(super) struct Tables {
    /// The locks that are held or waited for, and some that were: most are taken again soon.
    pub(super) locks: HashMap<Box<str>, Lock, foldhash::fast::RandomState>,
    pub(super) listening: Listening,
    pub(super) fences: Fences,
    /// How many entries `locks` may have before those that nobody uses are swept out.
    sweep_at: usize,
}

pub(super) struct Lock {
    /// Of the last holder's manager. It stays when the holder goes, because mostly the next one has the same.
    owner: Arc<str>,
    pub(super) holder: Option<Holder>,
    pub(super) line: Line,
}

pub(super) struct Holder {
    pub(super) token: Uuid,
    pub(super) fence: Fence,
    /// By its own clock.
    pub(super) expires: Moment,
}

/// Fewer entries are never swept out.
const KEPT: usize = 1_024;

/// Gives the fences.
pub(super) struct Fences {
    /// The last one, of any hold of any name.
    last: u64,
    /// One moment on the wall, in microseconds since 1970, and on the lease clock.
    origin: (u64, Moment),
}

impl Default for Fences {
    fn default() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let micros = u64::try_from(wall.as_micros()).unwrap_or_default();
        Self {
            last: 0,
            origin: (micros, Clock::Real.now()),
        }
    }
}

impl Fences {
    /// By the same rule as on a server: the larger of the last plus one and the time in microseconds.
    pub(super) fn next(&mut self, now: Moment) -> Fence {
        let (wall, moment) = self.origin;
        // A clock that was paused may lie before the origin.
        let micros = (wall + now.nanos_since(moment) / 1_000).saturating_sub(moment.nanos_since(now) / 1_000);
        self.last = micros.max(self.last + 1);
        Fence::from(self.last)
    }
}

impl Store {
    /// One whose fences are larger than this one.
    pub(super) fn after(fence: u64) -> Self {
        let store = Self::default();
        store.tables().fences.last = fence;
        store
    }

    pub(super) fn last_fence(&self) -> u64 {
        self.tables().fences.last
    }

    pub(super) fn tables(&self) -> MutexGuard<'_, Tables> {
        // No operation panics half-way through a change, so a poisoned table is still a whole one.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(feature = "queue")]
    pub(super) fn shelf(&self, namespace: &str) -> Arc<Shelf> {
        let mut shelves = self.shelves.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(shelves.entry(namespace.to_owned()).or_default())
    }

    /// Whether a call is stored here that has not ended, or is a dead letter.
    #[cfg(feature = "queue")]
    pub(super) fn has_calls(&self) -> bool {
        let shelves = self.shelves.lock().unwrap_or_else(PoisonError::into_inner);
        shelves.values().any(|shelf| shelf.has_calls())
    }

    /// Makes `claim` the holder if nobody else is, and nobody waits to be. `clock`: what `now` is read from, as below.
    pub(crate) fn acquire(
        &self,
        claim: &Claim,
        owner: &Arc<str>,
        ttl: Duration,
        clock: Clock,
        now: Moment,
    ) -> Acquired {
        let mut guard = self.tables();
        let tables = &mut *guard;
        let Some(lock) = tables.locks.get_mut(claim.name()) else {
            let fence = tables.fences.next(now);
            let mut lock = Lock::new(owner);
            lock.hold(claim.value.token, owner, fence, ttl, now);
            tables.sweep(now);
            tables.locks.insert(claim.name().into(), lock);
            return Acquired::Granted(fence);
        };
        match &lock.holder {
            Some(holder) if holder.expires > now && holder.token != claim.value.token => {
                return Acquired::Busy(Some(holder.expires.since(now)));
            }
            Some(holder) if holder.expires > now => {}
            // The last holder's time was over, and somebody was there before.
            Some(_) | None if !lock.line.is_empty() => {
                let woken = lock.pass_on(&mut tables.fences, clock, now);
                let remaining = lock.alive(now).map(|holder| holder.expires.since(now));
                drop(guard);
                woken.wake();
                return Acquired::Busy(remaining);
            }
            Some(_) | None => {}
        }
        let fence = tables.fences.next(now);
        lock.hold(claim.value.token, owner, fence, ttl, now);
        Acquired::Granted(fence)
    }

    pub(crate) fn renew(&self, claim: &Claim, ttl: Duration, now: Moment) -> Renewed {
        match self.tables().holder(claim.name(), now) {
            None => Renewed::Missing,
            Some(holder) if holder.token != claim.value.token => Renewed::Taken,
            Some(holder) => {
                holder.expires = now.plus(ttl);
                Renewed::Extended
            }
        }
    }

    /// Ends the hold of `claim` and gives the lock to the next in line. Mostly there is none, and the time is not asked
    /// for; it may have been `now` a while ago.
    pub(crate) fn release(&self, claim: &Claim, leave: Leave, clock: Clock, now: impl Fn() -> Moment) -> Released {
        let mut guard = self.tables();
        let tables = &mut *guard;
        let Some(lock) = tables.locks.get_mut(claim.name()) else {
            return Released::Missing;
        };
        match &mut lock.holder {
            Some(holder) if holder.token == claim.value.token => {
                let woken = match leave {
                    Leave::TakenFor(rest) => {
                        holder.expires = now().plus(rest);
                        // It may expire earlier than who waits believes.
                        Woken([None, lock.misled()])
                    }
                    Leave::Nothing if lock.line.is_empty() => {
                        lock.holder = None;
                        Woken::NOBODY
                    }
                    Leave::Nothing => lock.pass_on(&mut tables.fences, clock, now()),
                };
                if woken.is_nobody() {
                    tables.listening.wake(claim.name());
                }
                drop(guard);
                woken.wake();
                Released::Done
            }
            Some(holder) if holder.expires > now() => Released::Taken,
            Some(_) | None => Released::Missing,
        }
    }

    pub(super) fn inspect(&self, name: &str, now: Moment) -> Option<Stored> {
        let mut tables = self.tables();
        let lock = tables.locks.get_mut(name)?;
        let owner = Some(Arc::clone(&lock.owner));
        let holder = lock.alive(now)?;
        let token = holder.token;
        Some(Stored {
            value: Value { token, owner }.text(),
            remaining: Some(holder.expires.since(now)),
        })
    }

    pub(super) fn force_release(&self, name: &str, clock: Clock, now: Moment) -> bool {
        let mut guard = self.tables();
        let tables = &mut *guard;
        let Some(lock) = tables.locks.get_mut(name) else {
            return false;
        };
        let held = lock.alive(now).is_some();
        let woken = lock.pass_on(&mut tables.fences, clock, now);
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
}

impl Lock {
    pub(super) fn new(owner: &Arc<str>) -> Self {
        Self {
            owner: Arc::clone(owner),
            holder: None,
            line: Line::default(),
        }
    }

    pub(super) fn hold(&mut self, token: Uuid, owner: &Arc<str>, fence: Fence, ttl: Duration, since: Moment) {
        if !Arc::ptr_eq(&self.owner, owner) {
            self.owner = Arc::clone(owner);
        }
        self.holder = Some(Holder {
            token,
            fence,
            expires: since.plus(ttl),
        });
    }

    pub(super) fn alive(&mut self, now: Moment) -> Option<&mut Holder> {
        self.holder.as_mut().filter(|holder| holder.expires > now)
    }

    pub(super) fn is_held_by(&self, token: Uuid) -> bool {
        self.holder.as_ref().is_some_and(|holder| holder.token == token)
    }

    /// Ends whatever hold there is, and makes the first in line the holder.
    pub(super) fn pass_on(&mut self, fences: &mut Fences, clock: Clock, now: Moment) -> Woken {
        let Some(first) = self.line.take_first() else {
            self.holder = None;
            return Woken::NOBODY;
        };
        // The lease counts by the clock of its holder.
        let since = if first.clock == clock { now } else { first.clock.now() };
        self.hold(first.token, &first.owner, fences.next(now), first.ttl, since);
        Woken([Some(first.waker), self.misled()])
    }

    /// The fence of `token`'s hold, if it is the holder: it notices that only now, and its lease counts from here on.
    pub(super) fn notice(&mut self, token: Uuid, ttl: Duration, now: Moment) -> Option<Fence> {
        let holder = self.holder.as_mut().filter(|holder| holder.token == token)?;
        holder.expires = now.plus(ttl);
        Some(holder.fence)
    }
}

#[cfg(test)]
#[path = "tests/store.rs"]
mod tests;
