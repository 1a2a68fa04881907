//! Getting a hold in this process: at once, or in a line in which whoever releases gives the lock to the next.
//!
//! Nothing here needs a thread or a runtime of its own: a caller waits on its own task, woken by who releases, or by an
//! alarm of its timeline.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker, ready};

use uuid::{Builder, Uuid};

use crate::backend::memory::{Applicant, Store, Turn};
use crate::backend::{Acquired, Claim, Leave, Value};
use crate::clock::{Clock, Moment};
use crate::grant::{Grant, HandOver, deadline, next_renewal};
use crate::hold::{Hold, HoldId};
use crate::manager::{Begun, Shared};
use crate::ownership::Ownership;
use crate::present::Counted;
use crate::telemetry::Telemetry;
use crate::terms::Terms;
use crate::timeline::{Alarm, Timeline};
use crate::{Fence, Key, LockError, LostReason};

/// Takes the lock if it is free; otherwise the call waits for its turn, or is refused.
pub(crate) fn begin(shared: Arc<Shared>, store: &Arc<Store>, key: Key, name: String, terms: Terms) -> Begun {
    let (clock, now) = Clock::here_and_now();
    let timeline = match shared.timeline_by(clock, &key) {
        Ok(timeline) => timeline,
        Err(error) => return Begun::Over(Err(error)),
    };
    let id = HoldId::next();
    let value = Value {
        token: token(id),
        owner: None,
    };
    let telemetry = Telemetry::here(shared.redact_keys);
    let wanted = Wanted {
        counted: false,
        id,
        shared,
        timeline,
        key,
        claim: Claim { name, value },
        terms,
        telemetry,
        started: now,
    };
    if wanted.shared.present.is_closed() {
        return Begun::Over(Err(wanted.shut_down()));
    }
    match store.acquire(&wanted.claim, &wanted.shared.owner, terms.ttl, clock, now) {
        Acquired::Granted(fence) => Begun::Over(wanted.granted(store, fence, now)),
        Acquired::Busy(_) => match terms.wait {
            None => Begun::Over(Err(wanted.conflict(now))),
            Some(wait) => Begun::Later(Box::pin(Waiting::new(Arc::clone(store), wanted, clock, now.plus(wait)))),
        },
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

/// What a call asks for.
struct Wanted {
    /// Among the holds already, so that a shutdown waits for what becomes of it.
    counted: bool,
    id: HoldId,
    shared: Arc<Shared>,
    timeline: Arc<Timeline>,
    key: Key,
    claim: Claim,
    terms: Terms,
    telemetry: Telemetry,
    started: Moment,
}

impl Wanted {
    /// The hold of a lock that is this call's since `since`.
    fn granted(self, store: &Store, fence: Fence, since: Moment) -> Result<Ownership, LockError> {
        let mut taken = Taken {
            store,
            shared: &self.shared,
            clock: self.timeline.clock,
            claim: Some(&self.claim),
            counted: true,
        };
        let open = if self.counted {
            !self.shared.present.is_closed()
        } else {
            self.shared.present.enter()
        };
        if !open {
            drop(taken);
            return Err(self.shut_down());
        }
        let (timeline, started) = (&self.timeline, self.started);
        let waited = || timeline.clock.now().since(started);
        let telemetry = self.telemetry.granted(&self.key, &self.shared.owner, fence, waited);
        // From here on the ownership gives it back.
        (taken.claim, taken.counted) = (None, false);
        drop(taken);
        let grant = Grant {
            id: self.id,
            key: self.key,
            claim: self.claim,
            fence,
            deadline: deadline(since, self.terms.ttl),
            next_renewal: next_renewal(since, &self.terms.hold),
            granted: since,
            doubtful: false,
            hand_over: HandOver::NONE,
        };
        let hold = Arc::new(Hold::new(grant, self.terms.hold, self.shared, self.timeline, telemetry));
        hold.timeline.watch(&hold);
        let ownership = Ownership::new(hold);
        let hold = ownership.hold();
        // A shutdown that began before the hold could be seen has not told it.
        if hold.shared.present.is_closed() {
            hold.lose(LostReason::Shutdown);
            return Err(LockError::ShutDown {
                key: Some(hold.key.clone()),
            });
        }
        Ok(ownership)
    }

    fn conflict(&self, now: Moment) -> LockError {
        LockError::Conflict {
            key: self.key.clone(),
            waited: now.since(self.started),
        }
    }

    fn shut_down(&self) -> LockError {
        LockError::ShutDown {
            key: Some(self.key.clone()),
        }
    }
}

/// A lock that has no hold yet: given back if there will be none, be it that a subscriber panics.
struct Taken<'a> {
    store: &'a Store,
    shared: &'a Shared,
    clock: Clock,
    claim: Option<&'a Claim>,
    counted: bool,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if let Some(claim) = self.claim {
            self.store
                .release(claim, Leave::Nothing, self.clock, || self.clock.now());
        }
        if self.counted {
            self.shared.present.leave(Counted::BOTH);
        }
    }
}

/// A call in the line. Dropped without a hold, it makes room, and what it was given goes to the next.
struct Waiting {
    store: Arc<Store>,
    applicant: Applicant,
    wanted: Option<Wanted>,
    alarm: Alarm,
    /// The time, if it was read just now.
    now: Option<Moment>,
}

impl Waiting {
    fn new(store: Arc<Store>, mut wanted: Wanted, clock: Clock, over: Moment) -> Self {
        wanted.counted = true;
        // Whether a shutdown has begun it asks when it is polled.
        let _open = wanted.shared.present.enter();
        Self {
            store,
            applicant: Applicant::new(&wanted.claim, wanted.terms.ttl, clock, over),
            alarm: wanted.timeline.alarm(),
            now: Some(wanted.started),
            wanted: Some(wanted),
        }
    }

    /// Waits for the lock: its fence and since when it is ours, or why it never will be.
    fn granted(&mut self, waker: &Waker) -> Poll<Result<(Fence, Moment), LockError>> {
        let Some(wanted) = &self.wanted else {
            // Polled after it was ready, which `.await` never does.
            return Poll::Pending;
        };
        let clock = wanted.timeline.clock;
        let (name, owner) = (&*wanted.claim.name, &wanted.shared.owner);
        loop {
            if wanted.shared.present.is_closed() {
                return Poll::Ready(Err(wanted.shut_down()));
            }
            // The first time, that it began.
            let now = self.now.take().unwrap_or_else(|| clock.now());
            let mut turn = self.store.wait(name, owner, &mut self.applicant, now, waker);
            if clock == Clock::Paused && matches!(turn, Turn::Granted { .. }) {
                // Who gave it may live by another clock than the one that a test has paused here.
                let again = self.store.acquire(&wanted.claim, owner, wanted.terms.ttl, clock, now);
                turn = match again {
                    Acquired::Granted(fence) => Turn::Granted { fence, since: now },
                    Acquired::Busy(_) => continue,
                };
            }
            match turn {
                Turn::Granted { fence, since } if now < deadline(since, wanted.terms.ttl) => {
                    return Poll::Ready(Ok((fence, since)));
                }
                // This task was not polled for a whole lease. It begins anew, behind the others.
                Turn::Granted { .. } => {
                    self.store.release(&wanted.claim, Leave::Nothing, clock, || now);
                }
                Turn::Waits(_) if now >= self.applicant.over => return Poll::Ready(Err(wanted.conflict(now))),
                Turn::Waits(looks) => {
                    self.alarm.set(looks, waker);
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
            Some(wanted) => Poll::Ready(wanted.granted(&self.store, fence, since)),
            None => Poll::Pending,
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let Some(wanted) = &self.wanted else {
            return;
        };
        self.store
            .leave(&wanted.claim.name, &mut self.applicant, wanted.timeline.clock.now());
        wanted.shared.present.leave(Counted::BOTH);
    }
}

#[cfg(test)]
#[path = "tests/local.rs"]
mod tests;
