//! Who waits in this process: for each lock one line, first come, first served.
//!
//! Of all who stand in a line only one asks the backend: the [contender](crate::contender), in its own name. What that is
//! granted goes to the first in line. A lease may then be [handed over](crate::hand_over) to those behind; they are
//! promised it, and the contender asks for those who come after them.

mod place;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::LockError;
use crate::clock::Moment;
use crate::contender;
use crate::grant::HandOver;
use crate::hand_over::NEWCOMERS;
use crate::manager::Shared;
use crate::timeline::Timeline;
use crate::waiter::Waiter;

pub(crate) use self::place::{GRACE, Place};

/// Of how many more than wait when it is asked for a grant reserves fences: some may have come when it is there.
const SPARE: usize = 4;
/// An answer is of this moment if it is not older.
const FRESH: Duration = Duration::from_millis(100);

/// The lines of one timeline.
#[derive(Default)]
pub(crate) struct Lines {
    /// A std mutex, held for a few operations on maps and queues; nothing is woken or dropped under it.
    by_name: Mutex<ByName>,
    /// No more waiting.
    closed: AtomicBool,
}

/// Hashed fast: every hold that is handed over looks here.
type ByName = HashMap<String, Line, foldhash::fast::RandomState>;

struct Line {
    waiters: VecDeque<Arc<Waiter>>,
    /// The chain of holds that is going on, how many at the front it is promised to, and for how long.
    chain: u64,
    promised: usize,
    until: Moment,
    /// How many more it may be promised to, who come before this moment, and how many holds it may have in all.
    spare: usize,
    open_until: Moment,
    reserved: usize,
    /// The first of them tries by itself.
    trying: bool,
    /// When the backend last said that somebody holds the lock.
    busy: Moment,
    /// Who asks the backend: told when there is something new for it.
    contender: Option<Arc<Notify>>,
}

/// Whom a contender asks for.
pub(crate) enum Wanted {
    /// For this one.
    Waiter(Arc<Waiter>),
    /// For nobody yet: the first one tries by itself.
    Trying,
    /// For nobody yet: all who wait are promised the lease of this chain, until then.
    Promised(u64, Moment),
    /// For nobody any more: it ends.
    Nobody,
}

impl Lines {
    fn lines(&self) -> MutexGuard<'_, ByName> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody waits for `name`.
    #[cfg(test)]
    pub(crate) fn is_waited_for(&self, name: &str) -> bool {
        self.lines().get(name).is_some_and(|line| !line.waiters.is_empty())
    }

    /// The first of those whom `chain` is promised to, if it suits; it leaves the line.
    pub(crate) fn next_of(&self, name: &str, chain: u64, suits: impl Fn(&Waiter) -> bool) -> Option<Arc<Waiter>> {
        let mut lines = self.lines();
        let line = lines
            .get_mut(name)
            .filter(|line| line.chain == chain && line.promised > 0)?;
        line.waiters.front().filter(|waiter| suits(waiter))?;
        line.promised -= 1;
        let waiter = line.waiters.pop_front();
        if line.waiters.is_empty() {
            forget_empty(&mut lines, name);
        }
        waiter
    }

    /// What the backend has stored may be gone, of this lock or (`None`) of all: nobody is promised anything any more, and
    /// is asked for again.
    pub(crate) fn break_promises(&self, name: Option<&str>) {
        let mut contenders = Vec::new();
        for (of, line) in self.lines().iter_mut() {
            if name.is_some_and(|name| name != of) {
                continue;
            }
            line.spare = 0;
            if std::mem::take(&mut line.promised) > 0 {
                // It is there as long as something is promised.
                contenders.extend(line.contender.clone());
            }
        }
        contenders.iter().for_each(|contender| contender.notify_one());
    }

    /// `chain` is over: nobody is promised anything any more.
    pub(crate) fn end_of(&self, name: &str, chain: u64, shared: &Arc<Shared>, timeline: &Arc<Timeline>) {
        let mut lines = self.lines();
        if let Some(line) = lines.get_mut(name).filter(|line| line.chain == chain) {
            line.spare = 0;
            let is_broken = std::mem::take(&mut line.promised) > 0;
            let starts = line.contended();
            // Otherwise it knows of all who wait.
            let contends = line.contender.clone().filter(|_| starts.is_none() && is_broken);
            drop(lines);
            start(starts, name, shared, timeline);
            if let Some(contender) = contends {
                contender.notify_one();
            }
        }
    }

    /// Whom the contender asks for.
    pub(crate) fn wanted(&self, name: &str, contender: &Arc<Notify>) -> Wanted {
        let mut lines = self.lines();
        let Some(line) = lines.get_mut(name).filter(|line| line.is_contended_by(contender)) else {
            return Wanted::Nobody;
        };
        match line.waiters.get(line.promised) {
            Some(waiter) if !line.trying => return Wanted::Waiter(Arc::clone(waiter)),
            Some(_) if line.asks() => return Wanted::Trying,
            Some(_) | None => {}
        }
        if line.promised > 0 {
            return Wanted::Promised(line.chain, line.until);
        }
        line.contender = None;
        forget_empty(&mut lines, name);
        Wanted::Nobody
    }

    /// The first one takes long to try by itself, or is not polled: it leaves the line until it has tried.
    pub(crate) fn overtake(&self, name: &str) {
        let mut lines = self.lines();
        let slow = lines.get_mut(name).filter(|line| line.trying).and_then(|line| {
            line.trying = false;
            line.waiters.pop_front()
        });
        drop(lines);
        drop(slow);
    }

    /// How many wait for `name`.
    pub(crate) fn count(&self, name: &str) -> usize {
        self.lines().get(name).map_or(0, |line| line.waiters.len())
    }

    /// For how many holds the next grant is to be: for those who wait and a few more; for twice as many as the last one where
    /// that was too few at once. Fences are microseconds of the server's clock, which grants must not overtake for long.
    pub(crate) fn holds_wanted(&self, name: &str, now: Moment) -> usize {
        self.lines().get(name).map_or(SPARE, |line| {
            let was_too_few = line.reserved > 1 && line.spare == 0 && now < line.open_until;
            let again = if was_too_few { line.reserved * 2 } else { 0 };
            again.max(line.waiters.len() + SPARE)
        })
    }

    /// Who is to get what the contender was granted.
    pub(crate) fn first(&self, name: &str) -> Option<Arc<Waiter>> {
        self.lines().get(name).and_then(|line| line.waiters.front().cloned())
    }

    /// Takes `waiter` out if it is still the first, and promises the lease to as many as wait, if that may be as many, and
    /// until then. Whether it did.
    pub(crate) fn take_first(&self, name: &str, waiter: &Arc<Waiter>, chain: HandOver, now: Moment) -> bool {
        let mut lines = self.lines();
        let is_first = |line: &&mut Line| line.waiters.front().is_some_and(|first| Arc::ptr_eq(first, waiter));
        let Some(line) = lines.get_mut(name).filter(is_first) else {
            return false;
        };
        line.waiters.pop_front();
        let left = usize::try_from(chain.left).unwrap_or(usize::MAX);
        (line.chain, line.until) = (chain.chain, chain.until);
        (line.open_until, line.reserved) = (now.plus(NEWCOMERS), left.saturating_add(1));
        let mut promised = line.waiters.len().min(left);
        // For those whose wait is over nobody asks any more: that somebody has the lock is their answer.
        let (mut overdue, mut place) = (Vec::new(), 0);
        line.waiters.retain(|waiter| {
            place += 1;
            let leaves = place <= promised && waiter.is_overdue();
            if leaves {
                overdue.push(Arc::clone(waiter));
            }
            !leaves
        });
        promised -= overdue.len();
        (line.promised, line.spare) = (promised, left - promised);
        forget_empty(&mut lines, name);
        drop(lines);
        for waiter in overdue {
            waiter.tell(Err(waiter.conflict(now)));
        }
        true
    }

    /// The backend has said now that somebody holds the lock.
    pub(crate) fn is_busy(&self, name: &str, now: Moment) {
        if let Some(line) = self.lines().get_mut(name) {
            line.busy = now;
        }
    }

    /// Whether all for whom the contender asks only wait for a last answer.
    pub(crate) fn are_overdue(&self, name: &str) -> bool {
        self.lines().get(name).is_none_or(|line| {
            let mut asked_for = line.waiters.iter().skip(line.promised);
            asked_for.all(|waiter| waiter.is_overdue())
        })
    }

    /// Whether the backend has just said that somebody holds the lock.
    pub(crate) fn is_busy_now(&self, name: &str, now: Moment) -> bool {
        self.lines().get(name).is_some_and(|line| line.is_busy_at(now))
    }

    /// Refuses those for whom `which` gives an error, of all that nothing is promised to.
    pub(crate) fn refuse(&self, name: &str, which: impl Fn(&Waiter) -> Option<LockError>) {
        let mut refused = Vec::new();
        let mut lines = self.lines();
        if let Some(line) = lines.get_mut(name) {
            let promised = line.promised;
            let mut place = 0;
            line.waiters.retain(|waiter| {
                place += 1;
                let error = if place > promised { which(waiter) } else { None };
                let stays = error.is_none();
                refused.extend(error.map(|error| (Arc::clone(waiter), error)));
                stays
            });
        }
        forget_empty(&mut lines, name);
        drop(lines);
        for (waiter, error) in refused {
            waiter.tell(Err(error));
        }
    }

    /// The contender of `name` is gone. Whether it had not ended before.
    pub(crate) fn uncontended(&self, name: &str, contender: &Arc<Notify>) -> bool {
        let mut lines = self.lines();
        let was = lines
            .get_mut(name)
            .and_then(|line| line.contender.take_if(|present| Arc::ptr_eq(present, contender)));
        forget_empty(&mut lines, name);
        drop(lines);
        was.is_some()
    }

    /// Nobody waits any more.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        let lines = std::mem::take(&mut *self.lines());
        for line in lines.into_values() {
            for waiter in line.waiters {
                waiter.tell(Err(waiter.shut_down()));
            }
            if let Some(contender) = line.contender {
                contender.notify_one();
            }
        }
    }
}

impl Line {
    fn new() -> Self {
        Self {
            waiters: VecDeque::new(),
            chain: 0,
            promised: 0,
            until: Moment::from_nanos(0),
            spare: 0,
            open_until: Moment::from_nanos(0),
            reserved: 0,
            trying: false,
            busy: Moment::from_nanos(0),
            contender: None,
        }
    }

    fn is_contended_by(&self, contender: &Arc<Notify>) -> bool {
        let present = self.contender.as_ref();
        present.is_some_and(|present| Arc::ptr_eq(present, contender))
    }

    /// Whether the backend has just said that somebody holds the lock.
    fn is_busy_at(&self, now: Moment) -> bool {
        now.since(self.busy) < FRESH
    }

    /// Whether there is somebody to whom nothing is promised, and who does not try by itself.
    fn asks(&self) -> bool {
        self.waiters.len() > self.promised + usize::from(self.trying)
    }

    /// Somebody has joined now. Where all before it are promised the lease, and that has only just come, it is, too.
    fn promise_to_newcomer(&mut self, now: Moment) {
        if self.spare > 0 && now < self.open_until && self.waiters.len() == self.promised + 1 {
            self.promised += 1;
            self.spare -= 1;
        }
    }

    /// Whether a contender is to be started: notes it.
    fn contended(&mut self) -> Option<Arc<Notify>> {
        if self.contender.is_some() || !self.asks() {
            return None;
        }
        let contender = Arc::new(Notify::new());
        self.contender = Some(Arc::clone(&contender));
        Some(contender)
    }
}

fn forget_empty(lines: &mut ByName, name: &str) {
    if lines
        .get(name)
        .is_some_and(|line| line.waiters.is_empty() && line.contender.is_none())
    {
        lines.remove(name);
    }
}

fn start(contender: Option<Arc<Notify>>, name: &str, shared: &Arc<Shared>, timeline: &Arc<Timeline>) {
    if let Some(contender) = contender {
        let work = contender::contend(Arc::clone(shared), Arc::clone(timeline), name.to_owned(), contender);
        timeline.spawn(work);
    }
}

#[cfg(test)]
#[path = "tests/line.rs"]
mod tests;
