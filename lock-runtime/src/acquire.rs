//! Getting a hold: one attempt, or attempts until the lock is free or the wait is over.

use std::sync::Arc;
use std::time::Duration;

use backon::BackoffBuilder;
use tokio::task::JoinHandle;
use tokio_util::task::task_tracker::TaskTrackerToken;
use uuid::Uuid;

use crate::backend::{Acquired, Applied, Claim, Failure, FailureKind, Value, Wakeup};
use crate::clock::Moment;
use crate::hold::{Grant, Hold, HoldId, deadline};
use crate::manager::Shared;
use crate::ownership::Ownership;
use crate::release::{clear_up, unavailable};
use crate::telemetry::Telemetry;
use crate::terms::Terms;
use crate::timeline::Timeline;
use crate::{Fence, Key, LockError, LostReason};

/// The longest wait for one answer.
const ANSWER: Duration = Duration::from_secs(1);
/// How long a call that does not wait for holders may wait for the backend; the contract allows 5 s.
const BACKEND: Duration = Duration::from_secs(4);
/// The bounds of the pause after a failure.
const FAILURE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));
/// How much longer than `wait` the backend may take; the contract allows 1 s.
const GRACE: Duration = Duration::from_millis(700);

/// Acquires the lock `key` for a hold of its own.
///
/// Cancel safe: a caller that gives up leaves nothing behind, whatever is under way.
pub(crate) async fn acquire(
    shared: &Arc<Shared>,
    key: Key,
    claim: Claim,
    terms: Terms,
) -> Result<Ownership, LockError> {
    if shared.closing.is_cancelled() {
        return Err(LockError::ShutDown { key: Some(key) });
    }
    let timeline = shared.timeline(&key)?;
    on_lock_thread(Attempts::new(Arc::clone(shared), timeline, key, claim, terms)).await
}

/// Attempts run where renewals run: an application that blocks its executor delays neither the deadline of an
/// attempt nor the clearing up.
async fn on_lock_thread(attempts: Attempts) -> Result<Ownership, LockError> {
    let key = attempts.key.clone();
    let closing = attempts.shared.closing.clone();
    let timeline = Arc::clone(&attempts.timeline);
    let mut task = Task(timeline.spawn(attempts.until_decided()));
    match (&mut task.0).await {
        Ok(answer) => answer,
        Err(_) if closing.is_cancelled() => Err(LockError::ShutDown { key: Some(key) }),
        Err(error) => Err(LockError::Unavailable {
            key: Some(key),
            reason: "the attempt was interrupted: its runtime has ended, or it has a bug".to_owned(),
            source: Some(error.into()),
        }),
    }
}

/// Stops the attempts of a caller who gave up. What they got or may have got is released by its own drop.
struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What to store for a new hold. The token is random, from the operating system: a copy of this process, or of its
/// virtual machine, must not draw the same one.
pub(crate) fn claim(shared: &Shared, name: String) -> Claim {
    let value = Value {
        token: Uuid::new_v4(),
        owner: Some(Arc::clone(&shared.owner)),
    };
    Claim { name, value }
}

/// Why there is no hold yet.
enum Denied {
    /// Another claim holds the lock, for so much longer.
    Busy(Option<Duration>),
    Failed(Failure),
    ShutDown,
}

/// One caller's way to a hold. Dropped without one, it clears up behind itself.
struct Attempts {
    shared: Arc<Shared>,
    timeline: Arc<Timeline>,
    key: Key,
    claim: Claim,
    terms: Terms,
    telemetry: Telemetry,
    started: Moment,
    /// A request is under way whose answer is not known, on this route; set before it is sent.
    pending: Option<u64>,
    /// An answer was lost: the request may still arrive.
    unknown: bool,
    /// Lets a shutdown wait for what is under way.
    _under_way: TaskTrackerToken,
    /// And for the clearing up after it, which is only begun when this is dropped.
    _unreleased: TaskTrackerToken,
}

impl Attempts {
    fn new(shared: Arc<Shared>, timeline: Arc<Timeline>, key: Key, claim: Claim, terms: Terms) -> Self {
        let redact_keys = shared.redact_keys;
        Self {
            started: timeline.clock.now(),
            _under_way: shared.held.token(),
            _unreleased: shared.releases.token(),
            shared,
            timeline,
            key,
            claim,
            terms,
            telemetry: Telemetry::here(redact_keys),
            pending: None,
            unknown: false,
        }
    }

    /// Attempts until there is a hold, or an answer that stays.
    async fn until_decided(mut self) -> Result<Ownership, LockError> {
        let clock = self.timeline.clock;
        let wait_over = self.started.plus(self.terms.wait.unwrap_or_default());
        let backend_over = match self.terms.wait {
            None => self.started.plus(BACKEND),
            Some(_) => wait_over.plus(GRACE),
        };
        let closing = self.shared.closing.clone();
        let mut waiting = Waiting::new(&self);
        loop {
            let within = ANSWER.min(backend_over.since(clock.now()));
            let denied = match self.attempt(within).await {
                Ok(ownership) => return Ok(ownership),
                Err(denied) => denied,
            };
            let over = match &denied {
                Denied::Busy(_) => wait_over,
                Denied::Failed(failure) if self.is_final(failure) => return Err(self.error(denied)),
                Denied::Failed(_) if self.terms.wait.is_some() => wait_over,
                Denied::Failed(_) => backend_over,
                Denied::ShutDown => return Err(self.error(denied)),
            };
            if clock.now() >= over {
                return Err(self.error(denied));
            }
            // A shutdown interrupts the wait. Nothing is under way in it, so nothing is lost with the other branch.
            tokio::select! {
                biased;
                () = closing.cancelled() => return Err(self.error(Denied::ShutDown)),
                () = waiting.before_next(&denied, over) => {}
            }
            if clock.now() >= backend_over {
                // No time is left for an answer.
                return Err(self.error(denied));
            }
            if self.shared.backend.is_quorum() {
                // The last attempt is being taken back, and that must not hit the next one.
                self.take_back();
                self.claim = claim(&self.shared, self.claim.name.clone());
            }
        }
    }

    /// Whether another try is no use. A call that waits for nobody tries again only to find out what became of its
    /// request.
    fn is_final(&self, failure: &Failure) -> bool {
        failure.kind != FailureKind::Transient || (self.terms.wait.is_none() && failure.applied == Applied::No)
    }

    async fn attempt(&mut self, within: Duration) -> Result<Ownership, Denied> {
        if self.shared.closing.is_cancelled() {
            return Err(Denied::ShutDown);
        }
        let clock = self.timeline.clock;
        // Of this attempt, and before it is sent: a grant counts from here (Redis documentation; node-redlock#296
        // shows what happens otherwise).
        let sent = clock.now();
        self.pending = Some(self.shared.backend.route());
        match self.shared.backend.acquire(&self.claim, self.terms.ttl, within).await {
            Ok(Acquired::Granted(fence)) => self.granted(fence, sent),
            Ok(Acquired::Busy(remaining)) => {
                self.pending = None;
                Err(Denied::Busy(remaining))
            }
            Err(failure) => {
                self.pending = None;
                // A majority takes its failed attempts back by itself.
                self.unknown |= failure.applied == Applied::Unknown && !self.shared.backend.is_quorum();
                Err(Denied::Failed(failure))
            }
        }
    }

    fn granted(&mut self, fence: Fence, sent: Moment) -> Result<Ownership, Denied> {
        let granted = self.timeline.clock.now();
        // Without a hold, `pending` stays set or `unknown` is set, and the grant is cleared up.
        if self.shared.closing.is_cancelled() {
            return Err(Denied::ShutDown);
        }
        if granted >= deadline(sent, self.terms.ttl) {
            self.unknown = true;
            return Err(Denied::Failed(too_late(granted.since(sent), self.terms.ttl)));
        }
        let waited = granted.since(self.started);
        let telemetry = self.telemetry.granted(&self.key, &self.shared.owner, fence, || waited);
        let grant = Grant {
            id: HoldId::next(),
            key: self.key.clone(),
            claim: self.claim.clone(),
            fence,
            sent,
            granted,
            doubtful: self.unknown,
        };
        let (shared, timeline) = (Arc::clone(&self.shared), Arc::clone(&self.timeline));
        // Counted also where a shutdown has begun: the hold learns of it below.
        let _open = shared.present.enter();
        let hold = Arc::new(Hold::new(grant, self.terms.hold, shared, timeline, telemetry));
        let ownership = Ownership::new(Arc::clone(&hold));
        // From here on the ownership clears up.
        self.pending = None;
        self.unknown = false;
        self.timeline.watch(&hold);
        // A shutdown that began before the hold could be seen has not told it.
        if self.shared.closing.is_cancelled() {
            hold.lose(LostReason::Shutdown);
            return Err(Denied::ShutDown);
        }
        Ok(ownership)
    }

    /// Releases what the present claim got without a hold, may have got, or may still get.
    fn take_back(&mut self) {
        let (pending, unknown) = (self.pending.take(), std::mem::take(&mut self.unknown));
        let Some(route) = pending.or(unknown.then_some(0)) else {
            return;
        };
        // On another route than the request's, the deletion may arrive first.
        let unknown = unknown || route != self.shared.backend.route();
        let claim = self.claim.clone();
        clear_up(&self.shared, &self.timeline, claim, self.terms.ttl, unknown);
    }

    fn error(&self, denied: Denied) -> LockError {
        let key = self.key.clone();
        match denied {
            Denied::Busy(_) => LockError::Conflict {
                key,
                waited: self.timeline.clock.now().since(self.started),
            },
            Denied::Failed(failure) => unavailable(&key, failure),
            Denied::ShutDown => LockError::ShutDown { key: Some(key) },
        }
    }
}

impl Drop for Attempts {
    fn drop(&mut self) {
        self.take_back();
    }
}

fn too_late(after: Duration, ttl: Duration) -> Failure {
    Failure {
        kind: FailureKind::Transient,
        applied: Applied::Unknown,
        reason: format!(
            "the answer to the acquire came after {after:?}, when the lease of {ttl:?} was over; use a longer ttl, or a faster way to the server"
        ),
        source: None,
    }
}

/// What a caller does between two attempts.
struct Waiting {
    shared: Arc<Shared>,
    timeline: Arc<Timeline>,
    name: String,
    wakeup: Option<Box<dyn Wakeup>>,
    /// The upper bounds of the next re-checks, and the lower one.
    bounds: backon::ExponentialBackoff,
    shortest: Duration,
    /// The upper bounds of the next pauses after a failure. Not the user's: those are for a lock that is held.
    failures: backon::ExponentialBackoff,
}

impl Waiting {
    fn new(attempts: &Attempts) -> Self {
        let (shortest, longest) = attempts.terms.backoff;
        Self {
            shared: Arc::clone(&attempts.shared),
            timeline: Arc::clone(&attempts.timeline),
            name: attempts.claim.name.clone(),
            wakeup: None,
            bounds: growing(shortest, longest),
            shortest,
            failures: growing(FAILURE.0, FAILURE.1),
        }
    }

    /// Waits for a wake-up, the expiry of the present hold, or the next re-check; not beyond `over`.
    async fn before_next(&mut self, denied: &Denied, over: Moment) {
        let clock = self.timeline.clock;
        let Denied::Busy(remaining) = denied else {
            let bound = self.failures.next().unwrap_or(FAILURE.1);
            let pause = jittered(FAILURE.0, bound);
            return clock.sleep_until(clock.now().plus(pause).min(over)).await;
        };
        let Some(wakeup) = &mut self.wakeup else {
            let mut wakeup = self.shared.backend.wakeup(&self.name, self.timeline.runtime());
            // Listening must have begun before the next try, or a release between the two would be missed. If it
            // does not begin soon, the re-checks do without it.
            let armed = tokio::time::timeout(ANSWER / 2, wakeup.armed());
            tokio::select! {
                biased;
                _ = armed => {}
                () = clock.sleep_until(over) => {}
            }
            self.wakeup = Some(wakeup);
            return;
        };
        let bound = self.bounds.next().unwrap_or(self.shortest);
        let mut next = clock.now().plus(jittered(self.shortest, bound)).min(over);
        if let Some(remaining) = remaining {
            // One more millisecond, because servers count whole ones.
            next = next.min(clock.now().plus(*remaining + Duration::from_millis(1)));
        }
        // A wake-up only leads to a try, so it does not matter which branch wins.
        tokio::select! {
            biased;
            () = wakeup.woken() => {}
            () = clock.sleep_until(next) => {}
        }
    }
}

fn growing(shortest: Duration, longest: Duration) -> backon::ExponentialBackoff {
    backon::ExponentialBuilder::new()
        .with_min_delay(shortest)
        .with_max_delay(longest)
        .without_max_times()
        .build()
}

/// Anywhere between the shortest and the bound ("full jitter", AWS Architecture Blog 2015).
fn jittered(shortest: Duration, bound: Duration) -> Duration {
    shortest + bound.saturating_sub(shortest).mul_f64(fastrand::f64())
}

#[cfg(test)]
#[path = "tests/acquire.rs"]
mod tests;
