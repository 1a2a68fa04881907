//! Getting a hold in this process: at once, or in a line in which whoever releases gives the lock to the next.
//!
//! Nothing here needs a thread or a runtime of its own: a caller waits on its own task, woken by who releases, or by an
//! alarm of its timeline.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker, ready};

use uuid::{Builder, Uuid};

use crate::acquire::Begun;
use crate::backend::memory::{Applicant, Store, Turn};
use crate::backend::{Acquired, Claim, Leave, Value};
use crate::clock::{Clock, Moment};
use crate::grant::{Grant, HandOver, deadline, next_renewal};
use crate::hold::{Hold, HoldId};
use crate::manager::Shared;
use crate::ownership::Ownership;
use crate::present::Counted;
use crate::telemetry::Telemetry;
use crate::terms::Terms;
use crate::timeline::{Alarm, Timeline};
use crate::{Fence, Key, LockError, LostReason};

/// Takes the lock if it is free; otherwise the call waits for its turn and wakes `waker`, or is refused.
pub(crate) fn begin(shared: Arc<Shared>, key: Key, terms: Terms, waker: &Waker) -> Begun {
    let (clock, now) = Clock::here_and_now();
    let timeline = shared.timeline_here(clock);
    if timeline.is_none()
        && let Err(error) = shared.timeline_on_lock_thread(&key)
    {
        return Begun::refused(error);
    }
    let telemetry = Telemetry::here(shared.redact_keys);
    // From here on a shutdown waits for what becomes of this.
    let open = shared.present.enter();
    let id = HoldId::next();
    let value = Value {
        token: token(id),
        owner: None,
    };
    let wanted = Wanted {
        id,
        shared,
        clock,
        timeline,
        alarm: Alarm::default(),
        claim: Claim { key, value },
        terms,
        telemetry,
        started: now,
    };
    if !open {
        return Begun::refused(wanted.refused(Wanted::shut_down));
    }
    match wanted.try_or_join(now, waker) {
        Tried::Granted(fence) => Begun::Over(wanted.granted(fence, now)),
        Tried::Busy => Begun::refused(wanted.refused(|wanted| wanted.conflict(now))),
        Tried::Joined(applicant, looks) => Begun::Later(Box::pin(Waiting {
            applicant,
            wanted: Some(wanted),
            joined: Some(looks),
        })),
    }
}

/// Random as the others, but from the operating system once only: it must be unique in this process, and a copy of the
/// process has locks of its own.
fn token(id: HoldId) -> Uuid {
    static SEED: LazyLock<(u64, u64)> = LazyLock::new(|| Uuid::new_v4().as_u64_pair());
    let (high, low) = *SEED;
    let number = id.number();
    let bits = u128::from(mixed(number ^ high)) << 64 | u128::from(mixed(number.wrapping_add(low)));
    Builder::from_random_bytes(bits.to_be_bytes()).into_uuid()
}

/// One number for each other number (splitmix64).
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// What came of the first look.
enum Tried {
    Granted(Fence),
    Busy,
    /// In the line, and to look again at this moment.
    Joined(Applicant, Moment),
}

/// What a call asks for. A shutdown waits for it: it becomes a hold, or is [refused](Self::refused), or is a part of
/// [`Waiting`].
struct Wanted {
    id: HoldId,
    shared: Arc<Shared>,
    /// What it lives by.
    clock: Clock,
    /// `None`: that of the lock thread.
    timeline: Option<Arc<Timeline>>,
    /// Set while it waits.
    alarm: Alarm,
    claim: Claim,
    terms: Terms,
    telemetry: Telemetry,
    started: Moment,
}

impl Wanted {
    /// There is one: this is only begun where there is.
    fn store(&self) -> Option<&Arc<Store>> {
        self.shared.backend.store()
    }

    /// There is one, too.
    fn timeline(&self) -> Option<&Arc<Timeline>> {
        self.timeline.as_ref().or_else(|| self.shared.lock_thread())
    }

    /// Takes the lock, or a place in its line, in one step.
    fn try_or_join(&self, now: Moment, waker: &Waker) -> Tried {
        let (claim, owner, ttl, clock) = (&self.claim, &self.shared.owner, self.terms.ttl, self.clock);
        let Some(store) = self.store() else {
            return Tried::Busy;
        };
        let Some(wait) = self.terms.wait else {
            return match store.acquire(claim, owner, ttl, clock, now) {
                Acquired::Granted(fence) => Tried::Granted(fence),
                Acquired::Busy(_) => Tried::Busy,
            };
        };
        let mut applicant = Applicant::new(claim, ttl, clock, now.plus(wait));
        match store.wait(claim.name(), owner, &mut applicant, now, waker) {
            Turn::Granted(fence) => Tried::Granted(fence),
            Turn::Waits(looks) => Tried::Joined(applicant, looks),
        }
    }

    /// The hold of a lock that is this call's since `since`.
    #[inline(always)]
    fn granted(self, fence: Fence, since: Moment) -> Result<Ownership, Box<LockError>> {
        let telemetry = if self.telemetry.is_heard() {
            self.announced(fence)
        } else {
            Telemetry::NOBODY
        };
        let grant = Grant {
            id: self.id,
            claim: self.claim,
            fence,
            deadline: deadline(since, self.terms.ttl),
            next_renewal: next_renewal(since, &self.terms.hold),
            granted: since,
            doubtful: false,
            hand_over: HandOver::NONE,
        };
        let alarm = self.alarm;
        // From here on the ownership gives it back.
        let hold = Arc::new(Hold::new(grant, self.terms.hold, self.shared, self.timeline, telemetry));
        if let Some(timeline) = hold.timeline() {
            timeline.watch_instead(alarm, &hold);
        }
        let ownership = Ownership::new(hold);
        let hold = ownership.hold();
        // A shutdown that began before the hold could be seen has not told it.
        if hold.shared.present.is_closed() {
            hold.lose(LostReason::Shutdown);
            return Err(Box::new(LockError::ShutDown {
                key: Some(hold.key().clone()),
            }));
        }
        Ok(ownership)
    }

    /// Tells who listens. A subscriber's code may panic, and then there will be no hold.
    fn announced(&self, fence: Fence) -> Telemetry {
        let taken = Taken(self);
        let (clock, started) = (self.clock, self.started);
        let waited = || clock.now().since(started);
        let telemetry = self
            .telemetry
            .granted(&self.claim.key, &self.shared.owner, fence, waited);
        std::mem::forget(taken);
        telemetry
    }

    fn conflict(&self, now: Moment) -> LockError {
        LockError::Conflict {
            key: self.claim.key.clone(),
            waited: now.since(self.started),
        }
    }

    fn shut_down(&self) -> LockError {
        LockError::ShutDown {
            key: Some(self.claim.key.clone()),
        }
    }

    /// It is over without a hold, for this reason.
    fn refused(self, why: impl FnOnce(&Self) -> LockError) -> LockError {
        self.leave();
        why(&self)
    }

    /// There will be no hold.
    fn leave(&self) {
        if let Some(timeline) = self.timeline() {
            timeline.disarm(self.alarm);
        }
        self.shared.present.leave(Counted::BOTH);
    }
}

/// A lock that has no hold, and will have none: given back.
struct Taken<'a>(&'a Wanted);

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let Taken(wanted) = self;
        let clock = wanted.clock;
        if let Some(store) = wanted.store() {
            store.release(&wanted.claim, Leave::Nothing, clock, || clock.now());
        }
        wanted.leave();
    }
}

/// A call in the line. Dropped without a hold, it makes room, and what it was given goes to the next.
struct Waiting {
    applicant: Applicant,
    wanted: Option<Wanted>,
    /// It has joined just now, and is to look again at this moment.
    joined: Option<Moment>,
}

impl Waiting {
    /// Waits for the lock: its fence and since when it is ours, or why it never will be.
    fn granted(&mut self, waker: &Waker) -> Poll<Result<(Fence, Moment), LockError>> {
        let Some(wanted) = &mut self.wanted else {
            // Polled after it was ready, which `.await` never does.
            return Poll::Pending;
        };
        loop {
            if wanted.shared.present.is_closed() {
                return Poll::Ready(Err(wanted.shut_down()));
            }
            let (now, turn) = match (self.joined.take(), wanted.store()) {
                (Some(looks), _) => (wanted.started, Turn::Waits(looks)),
                (None, None) => return Poll::Ready(Err(wanted.conflict(wanted.clock.now()))),
                (None, Some(store)) => {
                    let (now, name, owner) = (wanted.clock.now(), wanted.claim.name(), &wanted.shared.owner);
                    (now, store.wait(name, owner, &mut self.applicant, now, waker))
                }
            };
            match turn {
                Turn::Granted(fence) => return Poll::Ready(Ok((fence, now))),
                Turn::Waits(_) if now >= self.applicant.over => return Poll::Ready(Err(wanted.conflict(now))),
                Turn::Waits(looks) => {
                    wanted.alarm = match wanted.timeline() {
                        Some(timeline) => timeline.set(wanted.alarm, looks, waker),
                        None => wanted.alarm,
                    };
                    // A shutdown since the look above has not rung this alarm.
                    if !wanted.shared.present.is_closed() {
                        return Poll::Pending;
                    }
                }
            }
        }
    }
}

impl Future for Waiting {
    type Output = Result<Ownership, LockError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let (fence, since) = ready!(self.granted(context.waker()))?;
        match self.wanted.take() {
            Some(wanted) => Poll::Ready(wanted.granted(fence, since).map_err(|error| *error)),
            None => Poll::Pending,
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let Some(wanted) = &self.wanted else {
            return;
        };
        if let Some(store) = wanted.store() {
            store.leave(wanted.claim.name(), &mut self.applicant, wanted.clock.now());
        }
        wanted.leave();
    }
}

#[cfg(test)]
#[path = "tests/local.rs"]
mod tests;
