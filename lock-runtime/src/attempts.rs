//! One claim's requests for a lock, and what is to be cleared up behind them.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::task_tracker::TaskTrackerToken;
use uuid::Uuid;

use crate::backend::{Acquired, Applied, Claim, Failure, FailureKind, Leave, Turn, Value};
use crate::clock::Moment;
use crate::grant::deadline;
use crate::manager::Shared;
use crate::release::{Behind, clear_up};
use crate::timeline::{Elapsed, Timeline};
use crate::{Fence, Key};

/// The longest wait for one answer.
pub(crate) const ANSWER: Duration = Duration::from_secs(1);

/// What to store for a new hold. The token is random, from the operating system: a copy of this process, or of its
/// virtual machine, must not draw the same one.
pub(crate) fn claim(shared: &Shared, key: Key) -> Claim {
    let value = Value {
        token: Uuid::new_v4(),
        owner: Some(Arc::clone(&shared.owner)),
    };
    Claim { key, value }
}

/// Why there is no hold yet.
#[derive(Debug)]
pub(crate) enum Denied {
    /// Another claim holds the lock, for so much longer.
    Busy(Option<Duration>),
    Failed(Failure),
    ShutDown,
}

/// What a request got.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Got {
    pub(crate) fence: Fence,
    /// The lease is valid for its length from here on: the lock clock before the request was sent.
    pub(crate) sent: Moment,
    /// The length of the lease.
    pub(crate) lease: Duration,
    /// It was told, and began some time after `sent`: not its whole length is left.
    pub(crate) was_told: bool,
    /// When its answer was there.
    pub(crate) granted: Moment,
}

/// The requests of one claim. Dropped before what they got was [kept](Self::keep), it clears up behind itself.
pub(crate) struct Attempts {
    pub(crate) shared: Arc<Shared>,
    pub(crate) timeline: Arc<Timeline>,
    claim: Claim,
    ttl: Duration,
    /// When the last request was sent that was answered.
    answered: Moment,
    /// A request is under way whose answer is not known, on this route; set before it is sent. Or it was granted, and is
    /// not kept yet.
    pending: Option<u64>,
    /// It has the lock, which nobody keeps yet.
    granted: bool,
    /// An answer was lost: the request may still arrive.
    unknown: bool,
    /// The claim may stand in line at the backend.
    in_line: bool,
    /// Lets a shutdown wait for what is under way.
    _under_way: TaskTrackerToken,
    /// And for the clearing up after it, which is only begun when this is dropped.
    _unreleased: TaskTrackerToken,
}

impl Attempts {
    pub(crate) fn new(shared: Arc<Shared>, timeline: Arc<Timeline>, claim: Claim, ttl: Duration) -> Self {
        Self {
            _under_way: shared.held.token(),
            _unreleased: shared.releases.token(),
            answered: timeline.clock.now(),
            shared,
            timeline,
            claim,
            ttl,
            pending: None,
            granted: false,
            unknown: false,
            in_line: false,
        }
    }

    pub(crate) fn claim(&self) -> &Claim {
        &self.claim
    }

    /// When the last request was sent that was answered.
    pub(crate) fn answered_at(&self) -> Moment {
        self.answered
    }

    /// Whether an earlier request of the claim may still arrive.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.unknown
    }

    /// One request, where this is polled.
    ///
    /// # Errors
    ///
    /// Why there is no hold yet.
    pub(crate) async fn request(&mut self, within: Duration) -> Result<Got, Denied> {
        let sent = self.begin(self.shared.backend.route())?;
        let answer = self.shared.backend.acquire(&self.claim, self.ttl, within).await;
        self.answered(answer, sent)
    }

    /// One request over a connection of the caller's own runtime, if there is one. Cancel safe, as dropping this.
    pub(crate) async fn request_here(&mut self, within: Duration) -> Option<Result<Got, Denied>> {
        let runtime = self.timeline.runtime();
        let under_way = self.shared.backend.acquire_here(&self.claim, self.ttl, runtime)?;
        let sent = match self.begin(under_way.route) {
            Ok(sent) => sent,
            Err(denied) => return Some(Err(denied)),
        };
        let limit = within.min(under_way.within);
        match self.timeline.within(sent.plus(limit), under_way.answer).await {
            Ok(answer) => Some(self.answered(answer, sent)),
            Err(Elapsed) => {
                self.shared.backend.no_answer(under_way.route);
                self.pending = None;
                // Nobody has taken it back, neither a backend that would have with its answer.
                self.unknown = true;
                Some(Err(Denied::Failed(no_answer(limit))))
            }
        }
    }

    /// One request of a claim that waits.
    ///
    /// # Errors
    ///
    /// Why there is no hold yet.
    pub(crate) async fn request_in_turn(&mut self, turn: Turn, within: Duration) -> Result<Got, Denied> {
        self.ttl = turn.ttl;
        let sent = self.begin(self.shared.backend.route())?;
        self.in_line = self.shared.backend.keeps_places();
        let answer = self.shared.backend.acquire_in_turn(&self.claim, turn, within).await;
        self.answered(answer, sent)
    }

    /// Gives up the claim's place in the backend's line, and what it may have been given there.
    pub(crate) async fn leave_line(&mut self) {
        if self.in_line {
            let left = self
                .shared
                .backend
                .release(&self.claim, Leave::Nothing, ANSWER / 4)
                .await;
            // Otherwise it is cleared up as ever.
            self.in_line = left.is_err();
        }
    }

    /// The backend has told that the lock is this claim's, for `lease`, at an unknown moment after its last answer.
    pub(crate) fn told(&mut self, fence: Fence, lease: Duration) -> Got {
        self.pending = Some(self.shared.backend.route());
        self.granted = true;
        Got {
            fence,
            sent: self.answered,
            lease,
            was_told: true,
            granted: self.timeline.clock.now(),
        }
    }

    fn begin(&mut self, route: u64) -> Result<Moment, Denied> {
        if self.shared.is_closing() {
            return Err(Denied::ShutDown);
        }
        self.pending = Some(route);
        // Of this attempt, and before it is sent: a grant counts from here (Redis documentation; node-redlock#296
        // shows what happens otherwise).
        Ok(self.timeline.clock.now())
    }

    fn answered(&mut self, answer: Result<Acquired, Failure>, sent: Moment) -> Result<Got, Denied> {
        match answer {
            Ok(Acquired::Granted(fence)) => {
                self.answered = sent;
                self.granted(fence, sent)
            }
            Ok(Acquired::Busy(remaining)) => {
                self.answered = sent;
                self.pending = None;
                Err(Denied::Busy(remaining))
            }
            Err(failure) => {
                self.pending = None;
                // A majority takes its failed attempts back by itself. What was granted before is still there.
                let is_left = failure.applied == Applied::Unknown || self.granted;
                self.unknown |= is_left && !self.shared.backend.is_quorum();
                Err(Denied::Failed(failure))
            }
        }
    }

    fn granted(&mut self, fence: Fence, sent: Moment) -> Result<Got, Denied> {
        let granted = self.timeline.clock.now();
        self.granted = true;
        // Where it is not kept, `pending` stays set or `unknown` is set, and the grant is cleared up.
        if self.shared.is_closing() {
            return Err(Denied::ShutDown);
        }
        if granted >= deadline(sent, self.ttl) {
            self.unknown = true;
            return Err(Denied::Failed(too_late(granted.since(sent), self.ttl)));
        }
        Ok(Got {
            fence,
            sent,
            lease: self.ttl,
            was_told: false,
            granted,
        })
    }

    /// What was granted is a hold's from here on, which clears up after itself. Whether an earlier request of its claim
    /// may still arrive.
    pub(crate) fn keep(&mut self) -> bool {
        self.pending = None;
        self.granted = false;
        self.in_line = false;
        std::mem::take(&mut self.unknown)
    }

    /// Takes back what the claim got, may have got, or may still get, and goes on with another one.
    pub(crate) fn renew_claim(&mut self) {
        self.take_back();
        self.claim = claim(&self.shared, self.claim.key.clone());
    }

    fn take_back(&mut self) {
        let (pending, unknown) = (self.pending.take(), std::mem::take(&mut self.unknown));
        let in_line = std::mem::take(&mut self.in_line);
        self.granted = false;
        let behind = match pending {
            _ if unknown => Behind::Lost,
            Some(route) => Behind::Route(route),
            None if in_line => Behind::Route(self.shared.backend.route()),
            None => return,
        };
        let claim = self.claim.clone();
        clear_up(&self.shared, &self.timeline, claim, self.ttl, behind);
    }
}

impl Drop for Attempts {
    fn drop(&mut self) {
        self.take_back();
    }
}

fn no_answer(within: Duration) -> Failure {
    Failure {
        kind: FailureKind::Transient,
        applied: Applied::Unknown,
        reason: format!(
            "there was no answer within {within:?}; the server hangs, is overloaded, or the network is cut"
        ),
        source: None,
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
