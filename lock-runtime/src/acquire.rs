//! Getting a hold: at once, or in line until the lock is free or the wait is over.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio_util::task::AbortOnDropHandle;

use crate::attempts::{ANSWER, Attempts, Denied, Got, claim};
use crate::backend::{Applied, BoxFuture, Claim, FailureKind};
use crate::clock::Moment;
use crate::grant::{Grant, HandOver, deadline, next_renewal};
use crate::hold::{Hold, HoldId};
use crate::line::{GRACE, Place};
use crate::manager::Shared;
use crate::ownership::Ownership;
use crate::pauses::Growing;
use crate::release::unavailable;
use crate::telemetry::Telemetry;
use crate::terms::{Spec, Terms};
use crate::timeline::Timeline;
use crate::waiter::Waiter;
use crate::{Key, LockError, LockManager, LostReason};

/// How long a call that does not wait for holders may wait for the backend; the contract allows 5 s.
const BACKEND: Duration = Duration::from_secs(4);
/// The bounds of the pause after a failure.
pub(crate) const FAILURE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));

/// What becomes of a wish for a lock.
pub(crate) enum Begun {
    /// At once. The error is boxed, because it is so large that mostly moving nothing would cost as much as the lock.
    Over(Result<Ownership, Box<LockError>>),
    /// In a while: somebody else has it, or a server is asked.
    Later(Acquiring),
}

impl Begun {
    pub(crate) fn refused(error: LockError) -> Self {
        Self::Over(Err(Box::new(error)))
    }
}

/// A request from its begin to its end. Not an `async fn`, which would keep what it is given twice.
///
/// Cancel safe, as [`Acquiring`].
#[must_use = "futures do nothing unless polled"]
pub(crate) struct Acquire<'a> {
    wanted: Option<(LockManager, Key)>,
    spec: &'a Spec,
    later: Option<Acquiring>,
}

impl<'a> Acquire<'a> {
    pub(crate) fn new(manager: LockManager, key: Key, spec: &'a Spec) -> Self {
        Self {
            wanted: Some((manager, key)),
            spec,
            later: None,
        }
    }
}

impl Future for Acquire<'_> {
    type Output = Result<Ownership, LockError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some((manager, key)) = self.wanted.take() {
            match manager.begin(key, self.spec, context.waker()) {
                Begun::Over(outcome) => return Poll::Ready(outcome.map_err(|error| *error)),
                Begun::Later(acquiring) => self.later = Some(acquiring),
            }
        }
        match &mut self.later {
            Some(acquiring) => acquiring.as_mut().poll(context),
            // Polled after it was ready, which `.await` never does.
            None => Poll::Pending,
        }
    }
}

/// Cancel safe: a caller that gives up leaves nothing behind, whatever is under way.
pub(crate) type Acquiring = BoxFuture<'static, Result<Ownership, LockError>>;

/// Acquires the lock of `key`, whose name has its namespace.
///
/// Cancel safe: a caller that gives up leaves nothing behind, whatever is under way.
pub(crate) async fn acquire(shared: &Arc<Shared>, key: Key, terms: Terms) -> Result<Ownership, LockError> {
    if shared.is_closing() {
        return Err(LockError::ShutDown { key: Some(key) });
    }
    let timeline = shared.timeline(&key)?;
    let started = timeline.clock.now();
    // Who may have to wait has a place from the start: the next ones come behind it, also while it tries.
    let place = terms.wait.map(|_| {
        let waiter = Waiter::new(key.clone(), terms, Telemetry::here(shared.redact_keys), started);
        Place::join(shared, &timeline, waiter)
    });
    let place = match place {
        Some(place) if !place.tries() => return place.wait().await,
        place => place,
    };
    // Drawn by who asks, and not by those who are handed what another one was granted.
    let claim = claim(shared, key);
    let mut call = Call::new(Arc::clone(shared), Arc::clone(&timeline), claim, terms, started);
    // The first try needs no thread of ours where it can do without, and mostly it is the only one.
    let denied = match call.attempts.request_here(call.patience_here()).await {
        Some(Ok(got)) => return call.hold(got),
        Some(Err(denied)) if call.is_over_with(&denied) => denied,
        // What went wrong there may go right over another connection.
        first => {
            let failed = first.and_then(Result::err);
            let (back, outcome) = on_lock_thread(call, failed).await?;
            call = back;
            match outcome {
                Ok(ownership) => return Ok(ownership),
                Err(denied) => denied,
            }
        }
    };
    match (denied, place) {
        (Denied::Busy(_), Some(place)) if !call.is_over() => {
            // Nothing is under way any more.
            drop(call);
            place.wait().await
        }
        (denied, _) => Err(call.error(denied)),
    }
}

type Decided = (Call, Result<Ownership, Denied>);

/// Attempts run where renewals run: an application that blocks its executor delays neither the deadline of an
/// attempt nor the clearing up.
async fn on_lock_thread(call: Call, failed: Option<Denied>) -> Result<Decided, LockError> {
    let key = call.key().clone();
    let shared = Arc::clone(&call.attempts.shared);
    let timeline = Arc::clone(&call.attempts.timeline);
    // What it got or may have got when its caller gives up is released by its own drop.
    let task = AbortOnDropHandle::new(timeline.spawn(call.until_decided(failed)));
    match task.await {
        Ok(decided) => Ok(decided),
        Err(_) if shared.is_closing() => Err(LockError::ShutDown { key: Some(key) }),
        Err(error) => Err(LockError::Unavailable {
            key: Some(key),
            reason: "the attempt was interrupted: its runtime has ended, or it has a bug".to_owned(),
            source: Some(error.into()),
        }),
    }
}

/// One caller's way to a hold.
struct Call {
    attempts: Attempts,
    terms: Terms,
    telemetry: Telemetry,
    started: Moment,
}

impl Call {
    fn new(shared: Arc<Shared>, timeline: Arc<Timeline>, claim: Claim, terms: Terms, started: Moment) -> Self {
        let telemetry = Telemetry::here(shared.redact_keys);
        Self {
            attempts: Attempts::new(shared, timeline, claim, terms.ttl),
            terms,
            telemetry,
            started,
        }
    }

    fn key(&self) -> &Key {
        &self.attempts.claim().key
    }

    /// How long the first try may take. There must be time for another one.
    fn patience_here(&self) -> Duration {
        let all = self.terms.wait.map_or(BACKEND, |wait| wait.saturating_add(GRACE));
        (all / 2).min(ANSWER)
    }

    /// Whether it makes no sense to go on after the first try.
    fn is_over_with(&self, denied: &Denied) -> bool {
        let is_answer = !matches!(denied, Denied::Failed(_)) || self.attempts.shared.backend.is_quorum();
        is_answer && self.is_decided(denied)
    }

    /// Attempts until there is a hold, or an answer that stays, or the time is over. `failed`: one was made already.
    async fn until_decided(mut self, failed: Option<Denied>) -> Decided {
        let timeline = Arc::clone(&self.attempts.timeline);
        let shared = Arc::clone(&self.attempts.shared);
        let clock = timeline.clock;
        let (over, backend_over) = match self.terms.wait {
            None => (self.started.plus(BACKEND), self.started.plus(BACKEND)),
            Some(wait) => (self.started.plus(wait), self.started.plus(wait).plus(GRACE)),
        };
        let mut pauses = Growing::new(FAILURE.0, FAILURE.1);
        // One server is asked again at once, over another connection.
        let mut failed = failed.filter(|_| shared.backend.is_quorum());
        loop {
            let within = ANSWER.min(backend_over.since(clock.now()));
            let answer = match failed.take() {
                Some(denied) => Err(denied),
                None => self.attempts.request(within).await,
            };
            let denied = match answer {
                Ok(got) => {
                    let outcome = self.take(got);
                    return (self, outcome);
                }
                Err(denied) => denied,
            };
            if matches!(denied, Denied::Busy(_)) || self.is_decided(&denied) || clock.now() >= over {
                return (self, Err(denied));
            }
            let next = clock.now().plus(pauses.next()).min(over);
            // A shutdown interrupts the wait. Nothing is under way in it, so nothing is lost with the other branch.
            tokio::select! {
                biased;
                () = shared.closing.cancelled() => return (self, Err(Denied::ShutDown)),
                () = clock.sleep_until(next) => {}
            }
            if clock.now() >= backend_over {
                // No time is left for an answer.
                return (self, Err(denied));
            }
            if shared.backend.is_quorum() {
                // The last attempt is being taken back, and that must not hit the next one.
                self.attempts.renew_claim();
            }
        }
    }

    /// Whether this answer stays. A call that waits for nobody tries again only to find out what became of its request.
    fn is_decided(&self, denied: &Denied) -> bool {
        match denied {
            Denied::Busy(_) | Denied::ShutDown => true,
            Denied::Failed(failure) => {
                failure.kind != FailureKind::Transient || (self.terms.wait.is_none() && failure.applied == Applied::No)
            }
        }
    }

    fn hold(mut self, got: Got) -> Result<Ownership, LockError> {
        self.take(got).map_err(|denied| self.error(denied))
    }

    /// Makes a hold of what was got.
    fn take(&mut self, got: Got) -> Result<Ownership, Denied> {
        let (shared, timeline) = (Arc::clone(&self.attempts.shared), Arc::clone(&self.attempts.timeline));
        let waited = || got.granted.since(self.started);
        let telemetry = self.telemetry.granted(self.key(), &shared.owner, got.fence, waited);
        let grant = Grant {
            id: HoldId::next(),
            claim: self.attempts.claim().clone(),
            fence: got.fence,
            deadline: deadline(got.sent, got.lease),
            next_renewal: next_renewal(got.sent, &self.terms.hold),
            granted: got.granted,
            doubtful: self.attempts.keep(),
            hand_over: HandOver::NONE,
        };
        // Counted also where a shutdown has begun: the hold learns of it below.
        let _open = shared.present.enter();
        // From here on the hold clears up.
        let hold = Arc::new(Hold::new(
            grant,
            self.terms.hold,
            Arc::clone(&shared),
            Some(Arc::clone(&timeline)),
            telemetry,
        ));
        let ownership = Ownership::new(Arc::clone(&hold));
        timeline.watch(&hold);
        // A shutdown that began before the hold could be seen has not told it.
        if shared.is_closing() {
            hold.lose(LostReason::Shutdown);
            return Err(Denied::ShutDown);
        }
        Ok(ownership)
    }

    /// Whether its wait is over.
    fn is_over(&self) -> bool {
        let over = self.started.plus(self.terms.wait.unwrap_or_default());
        self.attempts.timeline.clock.now() >= over
    }

    fn error(&self, denied: Denied) -> LockError {
        let key = self.key().clone();
        match denied {
            Denied::Busy(_) => LockError::Conflict {
                key,
                waited: self.attempts.timeline.clock.now().since(self.started),
            },
            Denied::Failed(failure) => unavailable(&key, failure),
            Denied::ShutDown => LockError::ShutDown { key: Some(key) },
        }
    }
}

#[cfg(test)]
#[path = "tests/acquire.rs"]
mod tests;
