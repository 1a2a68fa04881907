//! When a hold is to be renewed, and what the answer to a renewal says.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Hold, State};
use crate::LostReason;
use crate::backend::{Failure, FailureKind, Renewed};
use crate::clock::Moment;
use crate::grant::{deadline, next_renewal};

/// What a hold is scheduled for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    Renewal,
}

/// Renewals that come within so long are made together: many leases are renewed by few requests then, and the timer goes
/// off so much more rarely.
pub(crate) const TOGETHER: Duration = Duration::from_millis(40);

impl Hold {
    /// What is due at `now`; a renewal also if it will be soon. After `Renewal`, [`renewal_over`](Self::renewal_over) must be called.
    pub(crate) fn due(&self, now: Moment) -> Due {
        let planned = Moment::from_nanos(self.next_renewal.load(Ordering::Acquire));
        let early = self
            .terms
            .renew_every
            .map_or(Duration::ZERO, |period| (period / 10).min(TOGETHER));
        let comes = now.plus(early) < planned;
        if self.state_at(now) != State::Held || comes || self.renewing.load(Ordering::Acquire) {
            return Due::Nothing;
        }
        // Nobody else sets it: there is one driver, and only its requests clear it.
        self.renewing.store(true, Ordering::Release);
        // Whoever wants one sooner from here on wants another one.
        self.next_renewal.store(Moment::NEVER.as_nanos(), Ordering::Release);
        let late = now.since(planned);
        if late > self.terms.ttl / 10 {
            self.telemetry.renewal_late(self.key(), late);
        }
        Due::Renewal
    }

    /// Plans the next renewal for now, unless it is never renewed.
    pub(crate) fn hurry(&self, now: Moment) {
        if self.terms.renew_every.is_some() {
            self.plan(now);
        }
    }

    /// The next renewal, unless one is planned before.
    fn plan(&self, at: Moment) {
        self.next_renewal.fetch_min(at.as_nanos(), Ordering::AcqRel);
    }

    /// How long to wait for the answer to a renewal that is sent `now`: a second chance must fit before the deadline, also of
    /// a lease that was short from the start.
    pub(crate) fn patience(&self, now: Moment) -> Duration {
        const LONGEST: Duration = Duration::from_secs(1);
        let left = self.deadline().since(now);
        (self.terms.ttl / 3).min(LONGEST).min(left / 2)
    }

    /// Takes the answer to the renewal that was sent at `sent`.
    pub(crate) fn renewed(&self, sent: Moment, now: Moment, answer: Result<Renewed, Failure>) {
        if self.has_ended() {
            // The answer to a renewal that the release has overtaken says nothing about the hold.
            return;
        }
        match answer {
            Ok(Renewed::Extended) => {
                // An answer after the deadline comes too late: the state says so, and it stays so.
                if self.state_at(now) == State::Held {
                    self.deadline
                        .store(deadline(sent, self.terms.ttl).as_nanos(), Ordering::Release);
                    let next = next_renewal(sent, &self.terms);
                    self.plan(next);
                    self.telemetry.renewed(self.key(), self.fence());
                }
            }
            Ok(Renewed::Missing) => {
                self.lose(LostReason::Missing);
            }
            Ok(Renewed::Taken) => {
                self.lose(LostReason::Taken);
            }
            Err(failure) if failure.kind == FailureKind::WrongType => {
                self.lose(LostReason::Taken);
            }
            Err(failure) => {
                self.telemetry
                    .renewal_failed(self.key(), self.remaining(), &failure.reason);
                let left = self.deadline().since(now);
                let pause = (self.terms.ttl / 10)
                    .min(left / 8)
                    .clamp(Duration::from_millis(5), Duration::from_secs(1));
                self.plan(now.plus(pause));
            }
        }
    }

    /// The renewal has its answer, or never gets one: then another is due.
    pub(crate) fn renewal_over(&self) {
        let unplanned = self.next_renewal.load(Ordering::Acquire) == Moment::NEVER.as_nanos();
        if unplanned && self.terms.renew_every.is_some() {
            self.plan(self.clock.now());
        }
        self.renewing.store(false, Ordering::Release);
    }

    /// When whoever is handed this lease must renew it. What comes of a renewal that is under way it will not learn.
    pub(crate) fn planned(&self, now: Moment) -> Moment {
        if self.renewing.load(Ordering::Acquire) {
            now
        } else {
            Moment::from_nanos(self.next_renewal.load(Ordering::Acquire))
        }
    }
}
