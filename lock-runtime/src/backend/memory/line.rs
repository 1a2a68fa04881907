//! Those who wait for a lock in this process, first come, first served.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use uuid::Uuid;

use super::super::Claim;
use super::store::{Lock, Store};
use crate::Fence;
use crate::clock::{Clock, Moment};

/// The line for one lock, in the order of the numbers.
#[derive(Default)]
pub(super) struct Line {
    waiting: VecDeque<Waiting>,
    last: u64,
}

pub(super) struct Waiting {
    number: u64,
    pub(super) token: Uuid,
    pub(super) owner: Arc<str>,
    pub(super) ttl: Duration,
    /// What it lives by.
    pub(super) clock: Clock,
    /// When it looks again by itself: at the expiry of the holder that it knows, or when it gives up.
    pub(super) looks: Moment,
    pub(super) waker: Waker,
}

/// Somebody who wants a lock and can wait. Whoever drops it must have [left](Store::leave), unless it was granted.
pub(crate) struct Applicant {
    token: Uuid,
    ttl: Duration,
    clock: Clock,
    /// When it gives up.
    pub(crate) over: Moment,
    /// Its number in the line.
    number: Option<u64>,
}

/// How far it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It holds the lock from now on.
    Granted(Fence),
    /// It will be woken, or is to look again at this moment.
    Waits(Moment),
}

impl Applicant {
    pub(crate) fn new(claim: &Claim, ttl: Duration, clock: Clock, over: Moment) -> Self {
        Self {
            token: claim.value.token,
            ttl,
            clock,
            over,
            number: None,
        }
    }
}

impl Line {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn take_first(&mut self) -> Option<Waiting> {
        let first = self.waiting.pop_front();
        if self.waiting.is_empty() && self.waiting.capacity() > 64 {
            self.waiting = VecDeque::new();
        }
        first
    }

    pub(super) fn first(&self) -> Option<&Waiting> {
        self.waiting.front()
    }

    fn place(&self, number: Option<u64>) -> Option<usize> {
        let number = number?;
        self.waiting
            .binary_search_by_key(&number, |waiting| waiting.number)
            .ok()
    }
}

impl Store {
    /// Takes the lock `name` if it is the applicant's turn; otherwise the applicant is in the line from here on.
    pub(crate) fn wait(
        &self,
        name: &str,
        owner: &Arc<str>,
        applicant: &mut Applicant,
        now: Moment,
        waker: &Waker,
    ) -> Turn {
        let mut guard = self.tables();
        let tables = &mut *guard;
        let lock = match tables.locks.get_mut(name) {
            Some(lock) => lock,
            None => {
                tables.sweep(now);
                tables.locks.entry(name.into()).or_insert_with(|| Lock::new(owner))
            }
        };
        if lock.holder.is_none() && lock.line.is_empty() {
            // It may have stood in line, and what it was given was taken from it.
            applicant.number = None;
            let fence = tables.fences.next(now);
            lock.hold(applicant.token, owner, fence, applicant.ttl, now);
            return Turn::Granted(fence);
        }
        if let Some(fence) = lock.notice(applicant.token, applicant.ttl, now) {
            applicant.number = None;
            // By this one's clock its time may be over earlier than by the clock of who gave it.
            let woken = Woken([None, lock.misled()]);
            drop(guard);
            woken.wake();
            return Turn::Granted(fence);
        }
        let (mut woken, mut left) = (Woken::NOBODY, None);
        if lock.alive(now).is_none() {
            // Free, or its holder has died.
            match lock.line.place(applicant.number) {
                Some(0) => left = lock.line.take_first(),
                None if lock.line.is_empty() => {}
                Some(_) | None => woken = lock.pass_on(&mut tables.fences, applicant.clock, now),
            }
            if woken.is_nobody() {
                let fence = tables.fences.next(now);
                lock.hold(applicant.token, owner, fence, applicant.ttl, now);
            }
        }
        let mut replaced = None;
        let turn = lock.turn(owner, applicant, waker, &mut replaced);
        drop(guard);
        // The drop of a waker runs other people's code.
        drop((left, replaced));
        woken.wake();
        turn
    }

    /// Takes the applicant out of the line; what it was granted in the meantime goes to the next.
    pub(crate) fn leave(&self, name: &str, applicant: &mut Applicant, now: Moment) {
        let Some(number) = applicant.number.take() else {
            return;
        };
        let mut guard = self.tables();
        let tables = &mut *guard;
        let Some(lock) = tables.locks.get_mut(name) else {
            return;
        };
        let place = lock.line.place(Some(number));
        let left = place.and_then(|place| lock.line.waiting.remove(place));
        let woken = if lock.is_held_by(applicant.token) {
            lock.pass_on(&mut tables.fences, applicant.clock, now)
        } else {
            Woken([None, lock.misled()])
        };
        if woken.is_nobody() && lock.holder.is_none() {
            tables.listening.wake(name);
        }
        drop(guard);
        // The drop of a waker runs other people's code.
        drop(left);
        woken.wake();
    }
}

impl Lock {
    /// What the applicant is told. It is in the line, with its present waker, unless it holds the lock.
    fn turn(
        &mut self,
        owner: &Arc<str>,
        applicant: &mut Applicant,
        waker: &Waker,
        replaced: &mut Option<Waker>,
    ) -> Turn {
        let mut looks = applicant.over;
        if let Some(holder) = &self.holder {
            if holder.token == applicant.token {
                applicant.number = None;
                return Turn::Granted(holder.fence);
            }
            looks = looks.min(holder.expires);
        }
        let place = self.line.place(applicant.number);
        if let Some(waiting) = place.and_then(|place| self.line.waiting.get_mut(place)) {
            waiting.looks = looks;
            if !waiting.waker.will_wake(waker) {
                *replaced = Some(std::mem::replace(&mut waiting.waker, waker.clone()));
            }
            return Turn::Waits(looks);
        }
        self.line.last += 1;
        applicant.number = Some(self.line.last);
        self.line.waiting.push_back(Waiting {
            number: self.line.last,
            token: applicant.token,
            owner: Arc::clone(owner),
            ttl: applicant.ttl,
            clock: applicant.clock,
            looks,
            waker: waker.clone(),
        });
        Turn::Waits(looks)
    }

    /// The first in line, if it would look again only after the holder's time is over.
    pub(super) fn misled(&self) -> Option<Waker> {
        let expires = self.holder.as_ref()?.expires;
        let first = self.line.first().filter(|first| first.looks > expires)?;
        Some(first.waker.clone())
    }
}

/// Who is to be woken when the tables are unlocked: who was given the lock, and who is the first in line from then on
/// and must look at the holder's time.
#[must_use]
pub(super) struct Woken(pub(super) [Option<Waker>; 2]);

impl Woken {
    pub(super) const NOBODY: Self = Self([None, None]);

    pub(super) fn is_nobody(&self) -> bool {
        matches!(self.0, [None, None])
    }

    pub(super) fn wake(self) {
        self.0.into_iter().flatten().for_each(Waker::wake);
    }
}
