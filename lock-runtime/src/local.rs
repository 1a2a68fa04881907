//! Getting a hold in this process: at once, or in a line in which whoever releases gives the lock to the next.
//!
//! Nothing here needs a thread or a runtime of its own: a caller waits on its own task, woken by who releases, or by an
//! alarm of its timeline.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use uuid::{Builder, Uuid};

use crate::acquire::Begun;
use crate::backend::memory::{Applicant, Turn};
use crate::backend::{Acquired, Claim, Leave, Value};
use crate::clock::{Clock, Moment};
use crate::grant::{Grant, HandOver, deadline, next_renewal};
use crate::hold::{Hold, HoldId};
use crate::manager::Shared;
use crate::ownership::Ownership;
use crate::telemetry::Telemetry;
use crate::terms::Terms;
use crate::timeline::Alarm;
use crate::{Fence, Key, LockError, LostReason};

/// Takes the lock if it is free; otherwise the call waits for its turn and wakes `waker`, or is refused.
pub(crate) fn begin(shared: Arc<Shared>, key: Key, terms: &Terms, waker: &Waker) -> Begun {
    let (clock, now) = Clock::here_and_now();
    let timeline = shared.timeline_here(clock);
    if timeline.is_none()
        && let Err(error) = shared.timeline_on_lock_thread(&key)
    {
        return Begun::refused(error);
    }
    let telemetry = Telemetry::here(shared.redact_keys);
    // From here on a shutdown waits for what becomes of this: until it is released, or is dropped without a grant.
    let open = shared.present.enter();
    let id = HoldId::next();
    let value = Value {
        token: token(id),
        owner: None,
    };
    // As if it was granted now, which most are.
    let grant = Grant {
        id,
        claim: Claim { key, value },
        fence: Fence::from(0),
        deadline: deadline(now, terms.ttl),
        next_renewal: next_renewal(now, &terms.hold),
        granted: now,
        doubtful: false,
        hand_over: HandOver::NONE,
    };
    let mut hold = Arc::new(Hold::new(grant, terms.hold, shared, timeline, telemetry));
    if !open {
        return Begun::refused(shut_down(&hold));
    }
    match try_or_join(&hold, terms.wait, now, waker) {
        Tried::Granted(fence) => {
            announce(&mut hold, fence, now);
            hold.begin(fence);
            Begun::Over(begun(hold, Alarm::default()))
        }
        Tried::Busy => Begun::refused(conflict(&hold, now, now)),
        Tried::Joined(applicant, looks) => Begun::Later(Box::pin(Waiting {
            hold: Some(hold),
            applicant,
            started: now,
            alarm: Alarm::default(),
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

/// Takes the lock, or a place in its line, in one step.
fn try_or_join(hold: &Hold, wait: Option<Duration>, now: Moment, waker: &Waker) -> Tried {
    let (claim, owner, ttl) = (&hold.claim, &hold.shared.owner, hold.terms.ttl);
    // There is one: this is only begun where there is.
    let Some(store) = hold.shared.backend.store() else {
        return Tried::Busy;
    };
    let Some(wait) = wait else {
        return match store.acquire(claim, owner, ttl, hold.clock, now) {
            Acquired::Granted(fence) => Tried::Granted(fence),
            Acquired::Busy(_) => Tried::Busy,
        };
    };
    let mut applicant = Applicant::new(claim, ttl, hold.clock, now.plus(wait));
    match store.wait(claim.name(), owner, &mut applicant, now, waker) {
        Turn::Granted(fence) => Tried::Granted(fence),
        Turn::Waits(looks) => Tried::Joined(applicant, looks),
    }
}

/// Tells who listens of the lock that is this hold's. A subscriber's code may panic, and then there will be no hold.
fn announce(hold: &mut Arc<Hold>, fence: Fence, started: Moment) {
    if !hold.telemetry.is_heard() {
        return;
    }
    let taken = Taken(hold);
    let waited = || hold.clock.now().since(started);
    let telemetry = hold.telemetry.granted(hold.key(), &hold.shared.owner, fence, waited);
    std::mem::forget(taken);
    // Nobody else has seen it.
    if let Some(hold) = Arc::get_mut(hold) {
        hold.telemetry = telemetry;
    }
}

/// A hold has begun.
#[inline(always)]
fn begun(hold: Arc<Hold>, alarm: Alarm) -> Result<Ownership, Box<LockError>> {
    if let Some(timeline) = hold.timeline() {
        timeline.watch_instead(alarm, &hold);
    }
    // From here on the ownership gives it back.
    let ownership = Ownership::new(hold);
    let hold = ownership.hold();
    // A shutdown that began before the hold could be seen has not told it.
    if hold.shared.present.is_closed() {
        hold.lose(LostReason::Shutdown);
        return Err(Box::new(shut_down(hold)));
    }
    Ok(ownership)
}

fn conflict(hold: &Hold, started: Moment, now: Moment) -> LockError {
    LockError::Conflict {
        key: hold.key().clone(),
        waited: now.since(started),
    }
}

fn shut_down(hold: &Hold) -> LockError {
    LockError::ShutDown {
        key: Some(hold.key().clone()),
    }
}

/// A lock that was granted, and whose hold will not begin: given back.
struct Taken<'a>(&'a Hold);

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let Taken(hold) = self;
        if let Some(store) = hold.shared.backend.store() {
            store.release(&hold.claim, Leave::Nothing, hold.clock, || hold.clock.now());
        }
    }
}

/// A call in the line. Dropped without a hold, it makes room, and what it was given goes to the next.
struct Waiting {
    /// Until it begins.
    hold: Option<Arc<Hold>>,
    applicant: Applicant,
    started: Moment,
    alarm: Alarm,
    /// It has joined just now, and is to look again at this moment.
    joined: Option<Moment>,
}

impl Waiting {
    /// Waits for the lock: its fence and since when it is ours, or why it never will be.
    fn granted(&mut self, waker: &Waker) -> Poll<Result<(Fence, Moment), LockError>> {
        let Some(hold) = &self.hold else {
            // Polled after it was ready, which `.await` never does.
            return Poll::Pending;
        };
        let (clock, name, owner) = (hold.clock, hold.claim.name(), &hold.shared.owner);
        loop {
            if hold.shared.present.is_closed() {
                return Poll::Ready(Err(shut_down(hold)));
            }
            let (now, turn) = match (self.joined.take(), hold.shared.backend.store()) {
                (Some(looks), _) => (self.started, Turn::Waits(looks)),
                (None, None) => return Poll::Ready(Err(conflict(hold, self.started, clock.now()))),
                (None, Some(store)) => {
                    let now = clock.now();
                    (now, store.wait(name, owner, &mut self.applicant, now, waker))
                }
            };
            match turn {
                Turn::Granted(fence) => return Poll::Ready(Ok((fence, now))),
                Turn::Waits(_) if now >= self.applicant.over => {
                    return Poll::Ready(Err(conflict(hold, self.started, now)));
                }
                Turn::Waits(looks) => {
                    if let Some(timeline) = hold.timeline() {
                        timeline.set(&mut self.alarm, looks, waker);
                    }
                    // A shutdown since the look above has not rung this alarm.
                    if !hold.shared.present.is_closed() {
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
        let started = self.started;
        if let Some(hold) = &mut self.hold {
            announce(hold, fence, started);
        }
        match self.hold.take() {
            Some(hold) => {
                hold.begin_at(since, fence);
                Poll::Ready(begun(hold, std::mem::take(&mut self.alarm)).map_err(|error| *error))
            }
            None => Poll::Pending,
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let Self {
            hold: Some(hold),
            alarm,
            ..
        } = self
        else {
            return;
        };
        if let Some(timeline) = hold.timeline() {
            timeline.disarm(alarm);
        }
        if let Some(store) = hold.shared.backend.store() {
            store.leave(hold.claim.name(), &mut self.applicant, hold.clock.now());
        }
    }
}

#[cfg(test)]
#[path = "tests/local.rs"]
mod tests;
