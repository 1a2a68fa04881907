//! The one in a process that asks the backend for a lock which several wait for.
//!
//! It runs on the lock thread and has a claim of its own, for whoever is the first in [line](crate::line) when it is
//! granted. Where the backend keeps a line of its own, the contenders of all processes stand in that.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::acquire::FAILURE;
use crate::attempts::{ANSWER, Attempts, Denied, Got, claim};
use crate::backend::{Failure, FailureKind, Grantee, Turn, Wakeup};
use crate::clock::Moment;
use crate::grant::{Grant, HandOver, deadline, next_renewal};
use crate::hand_over::{LONGEST, MOST};
use crate::hold::HoldId;
use crate::line::Wanted;
use crate::manager::Shared;
use crate::number::unique;
use crate::pauses::Growing;
use crate::release::unavailable;
use crate::timeline::Timeline;
use crate::turning::{Turning, Waiting};
use crate::waiter::Waiter;
use crate::{Key, LockError};

/// The longest lease that a release gives to the first in line: so long a lock stays taken whose next holder has died
/// while it waited.
const FIRST_LEASE: Duration = Duration::from_millis(1_500);
/// Who looks again more seldom than this is told on the lock thread, which is never busy with something else: a word on the
/// runtime of a caller may have to wait for it, and a first lease does not wait for ever.
const SELDOM: Duration = Duration::from_secs(1);
/// A first lease is renewed after this: a body that ends before needs no renewal.
const SOON: Duration = Duration::from_millis(50);
/// How long the first one in line may try by itself before somebody asks for those behind it.
const TRY: Duration = Duration::from_millis(100);
/// How much longer than until its next question a place is kept.
const STAY: Duration = Duration::from_secs(1);

/// Asks for the lock `name` as long as somebody waits for it to whom nothing is promised. `news`: somebody came or went.
pub(crate) async fn contend(shared: Arc<Shared>, timeline: Arc<Timeline>, name: String, news: Arc<Notify>) {
    let contending = Arc::new(Contending::new(shared, timeline, name, news));
    loop {
        match contending.wanted() {
            // Each turn has a claim of its own: the last one's may be held by now.
            Wanted::Waiter(waiter) => match contending.turn(&waiter).await {
                Turned::Given | Turned::Unwanted => {}
                Turned::ShutDown => return contending.refuse_all(&Denied::ShutDown),
            },
            Wanted::Promised(chain, until) => contending.promised(chain, until).await,
            Wanted::Trying => contending.tried().await,
            Wanted::Nobody => return,
        }
    }
}

/// How a turn ended.
#[derive(Debug)]
pub(crate) enum Turned {
    Given,
    /// Nobody waits any more, or everybody was refused.
    Unwanted,
    ShutDown,
}

pub(crate) struct Contending {
    shared: Arc<Shared>,
    timeline: Arc<Timeline>,
    name: String,
    news: Arc<Notify>,
}

impl Contending {
    pub(crate) fn new(shared: Arc<Shared>, timeline: Arc<Timeline>, name: String, news: Arc<Notify>) -> Self {
        Self {
            shared,
            timeline,
            name,
            news,
        }
    }

    fn wanted(&self) -> Wanted {
        self.timeline.lines.wanted(&self.name, &self.news)
    }

    /// Until somebody comes to whom nothing is promised, or the time of the chain is over: then all who are left wait for
    /// the backend again, before its holder ends.
    async fn promised(&self, chain: u64, until: Moment) {
        let clock = self.timeline.clock;
        tokio::select! {
            biased;
            () = self.news.notified() => {}
            () = clock.sleep_until(until) => {
                self.timeline.lines.end_of(&self.name, chain, &self.shared, &self.timeline);
            }
        }
    }

    /// Until the first one has tried by itself: mostly it has the answer at once. One that is not polled must not keep the
    /// others waiting.
    async fn tried(&self) {
        let clock = self.timeline.clock;
        tokio::select! {
            biased;
            () = self.news.notified() => {}
            () = clock.sleep_until(clock.now().plus(TRY)) => self.timeline.lines.overtake(&self.name),
        }
    }

    async fn turn(self: &Arc<Self>, waiter: &Waiter) -> Turned {
        let mut attempts = Attempts::new(
            Arc::clone(&self.shared),
            Arc::clone(&self.timeline),
            claim(&self.shared, waiter.key.clone()),
            waiter.terms.ttl,
        );
        let turning = Arc::new(Turning::new(Arc::clone(self)));
        // Asked at once: where nobody listens yet, that somebody does is a wake-up.
        let mut place = self.shared.backend.place(
            attempts.claim(),
            waiter.near().filter(|_| waiter.terms.backoff.1 <= SELDOM),
            Arc::clone(&turning) as Arc<dyn Grantee>,
            self.timeline.runtime(),
        );
        let (shortest, longest) = waiter.terms.backoff;
        let mut checks = Growing::new(shortest, longest);
        let mut failures = Growing::new(FAILURE.0, FAILURE.1);
        let mut ttl = waiter.terms.ttl;
        let mut question = 0;
        loop {
            let Wanted::Waiter(_) = self.wanted() else {
                return Turned::Unwanted;
            };
            let now = self.timeline.clock.now();
            let is_known = question > 0 && self.timeline.lines.is_busy_now(&self.name, now);
            if is_known && self.leaves(&mut attempts, &Denied::Busy(None)).await {
                return Turned::Unwanted;
            }
            let check = checks.next();
            question += 1;
            let turn = Turn {
                question,
                ttl,
                first_lease: ttl.min(FIRST_LEASE),
                stay: check + STAY,
                fences: self.fences(),
            };
            let denied = match attempts.request_in_turn(turn, ANSWER).await {
                Ok(got) => match self.give(&mut attempts, got, turn) {
                    Ok(turned) => return turned,
                    // The one who is first wants another lease: asked for once more, it is that.
                    Err(other) => {
                        ttl = other;
                        if self.shared.backend.is_quorum() {
                            // A claim on a majority has one ttl.
                            attempts.renew_claim();
                        }
                        continue;
                    }
                },
                Err(denied) => denied,
            };
            if matches!(denied, Denied::ShutDown) {
                return Turned::ShutDown;
            }
            let is_busy = matches!(denied, Denied::Busy(_));
            if (is_busy && self.leaves(&mut attempts, &denied).await) || self.refuse(&denied) {
                return Turned::Unwanted;
            }
            if self.shared.backend.is_quorum() {
                // The last attempt is being taken back, and that must not hit the next one.
                attempts.renew_claim();
            }
            turning.wait(Waiting {
                attempts,
                turn,
                other: None,
            });
            self.before_next(&mut *place, &turning, &denied, check, failures.next())
                .await;
            match turning.ask().await {
                Ok(waiting) => {
                    attempts = waiting.attempts;
                    ttl = waiting.other.unwrap_or(ttl);
                }
                Err(turned) => return turned,
            }
        }
    }

    pub(crate) fn is_waited_for(&self) -> bool {
        self.timeline.lines.count(&self.name) > 0
    }

    /// Gives up the claim's place with the last of those who wait, who are refused then: so they leave nothing behind. Whoever
    /// has come meanwhile gets a claim that nothing is known of. Whether it did.
    async fn leaves(&self, attempts: &mut Attempts, denied: &Denied) -> bool {
        let are_overdue = self.timeline.lines.are_overdue(&self.name);
        if are_overdue {
            attempts.leave_line().await;
            self.refuse(denied);
        }
        are_overdue
    }

    fn fences(&self) -> u64 {
        if !self.shared.hand_over || !self.shared.backend.reserves_fences() {
            return 1;
        }
        let wanted = self.timeline.lines.holds_wanted(&self.name, self.timeline.clock.now());
        u64::try_from(wanted).unwrap_or(MOST).min(MOST)
    }

    /// Whether so much of a lease is left, which began some time after the last answered request was sent, that a body
    /// may begin while it is renewed.
    pub(crate) fn early(&self, attempts: &Attempts, lease: Duration) -> bool {
        self.timeline.clock.now() < attempts.answered_at().plus(lease / 2)
    }

    /// Gives what was granted to the first in line. `Err`: that one needs a lease of this length.
    pub(crate) fn give(&self, attempts: &mut Attempts, got: Got, turn: Turn) -> Result<Turned, Duration> {
        let lines = &self.timeline.lines;
        loop {
            let Some(waiter) = lines.first(&self.name) else {
                return Ok(Turned::Unwanted);
            };
            let terms = &waiter.terms;
            // A longer lease is not given either: a renewal would shorten it, and its holder learn of that later.
            if turn.ttl != terms.ttl || (terms.hold.renew_every.is_none() && got.was_told) {
                return Err(terms.ttl);
            }
            let grant = self.grant(attempts, &waiter, got);
            let hand_over = HandOver {
                chain: unique(),
                left: if attempts.is_doubtful() { 0 } else { turn.fences - 1 },
                until: got.granted.plus(LONGEST),
            };
            if !lines.take_first(&self.name, &waiter, hand_over, got.granted) {
                // It has given up in this moment.
                continue;
            }
            let grant = Grant {
                doubtful: attempts.keep(),
                hand_over,
                ..grant
            };
            waiter.give(grant, Arc::clone(&self.shared), Arc::clone(&self.timeline));
            return Ok(Turned::Given);
        }
    }

    fn grant(&self, attempts: &Attempts, waiter: &Waiter, got: Got) -> Grant {
        let deadline = deadline(got.sent, got.lease);
        let planned = next_renewal(got.sent, &waiter.terms.hold);
        // A first lease is short; it is renewed soon, and then has its whole length.
        let soon = got.granted.plus((deadline.since(got.granted) / 4).min(SOON));
        Grant {
            id: HoldId::next(),
            claim: attempts.claim().clone(),
            fence: got.fence,
            deadline,
            next_renewal: if got.was_told { planned.min(soon) } else { planned },
            granted: got.granted,
            doubtful: false,
            hand_over: HandOver::NONE,
        }
    }

    /// Refuses those whose wait is over, or everybody, as this answer says. Whether it was everybody.
    fn refuse(&self, denied: &Denied) -> bool {
        let now = self.timeline.clock.now();
        if matches!(denied, Denied::Busy(_)) {
            self.timeline.lines.is_busy(&self.name, now);
        }
        let is_final = matches!(denied, Denied::Failed(failure) if failure.kind != FailureKind::Transient);
        self.timeline.lines.refuse(&self.name, |waiter| {
            (is_final || waiter.is_overdue()).then(|| refusal(waiter, denied, now))
        });
        is_final
    }

    fn refuse_all(&self, denied: &Denied) {
        let now = self.timeline.clock.now();
        let lines = &self.timeline.lines;
        lines.refuse(&self.name, |waiter| Some(refusal(waiter, denied, now)));
    }

    /// Waits for a wake-up, the expiry of the present hold, the next re-check, or news.
    async fn before_next(
        &self,
        place: &mut dyn Wakeup,
        turning: &Turning,
        denied: &Denied,
        check: Duration,
        pause: Duration,
    ) {
        let clock = self.timeline.clock;
        let now = clock.now();
        let next = match denied {
            // One more millisecond, because servers count whole ones.
            Denied::Busy(Some(remaining)) => now.plus(check.min(*remaining + Duration::from_millis(1))),
            Denied::Busy(None) => now.plus(check),
            Denied::Failed(_) | Denied::ShutDown => now.plus(pause),
        };
        let listens = matches!(denied, Denied::Busy(_));
        tokio::select! {
            biased;
            () = self.shared.closing.cancelled() => {}
            () = turning.changed() => {}
            () = place.woken(), if listens => {}
            () = self.news.notified() => {}
            () = clock.sleep_until(next) => {}
        }
    }
}

impl Drop for Contending {
    fn drop(&mut self) {
        if !self.timeline.lines.uncontended(&self.name, &self.news) {
            return;
        }
        // After a panic, or with its runtime: nobody else asks for those who are left.
        self.timeline.lines.refuse(&self.name, |waiter| {
            Some(LockError::Unavailable {
                key: Some(waiter.key.clone()),
                reason: "the wait was interrupted: its runtime has ended, or it has a bug".to_owned(),
                source: None,
            })
        });
    }
}

fn refusal(waiter: &Waiter, denied: &Denied, now: Moment) -> LockError {
    match denied {
        Denied::Busy(_) => waiter.conflict(now),
        Denied::ShutDown => waiter.shut_down(),
        Denied::Failed(failure) => unavailable(
            &waiter.key,
            Failure {
                kind: failure.kind,
                applied: failure.applied,
                reason: failure.reason.clone(),
                source: None,
            },
        ),
    }
}

/// The error of a wait that is over while the backend owes an answer.
pub(crate) fn no_answer(key: &Key) -> LockError {
    LockError::Unavailable {
        key: Some(key.clone()),
        reason: "the backend gave no answer until the wait was over; it hangs, is overloaded, or the network is cut"
            .to_owned(),
        source: None,
    }
}
