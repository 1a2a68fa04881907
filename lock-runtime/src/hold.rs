//! The life of one lease: held, lost or ended. `ARCHITECTURE.md` draws every transition.

mod renewing;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::sync::Notify;

pub(crate) use self::renewing::{Due, TOGETHER};
use crate::backend::Claim;
use crate::clock::{Clock, Moment, nanos};
use crate::grant::{Grant, HandOver, deadline, next_renewal};
use crate::hand_over;
use crate::manager::Shared;
pub(crate) use crate::number::HoldId;
use crate::present::Counted;
use crate::schedule::Place;
use crate::state::Condition;
pub(crate) use crate::state::State;
use crate::telemetry::Telemetry;
use crate::terms::HoldTerms;
use crate::timeline::Timeline;
use crate::{Fence, Key, LostReason};

/// One hold of one lock. Shared by the body's call, the leases that were handed out, and the schedule.
///
/// In this order in memory: with a hundred thousand of them, a renewal finds none in a cache, so what it looks at lies
/// together, and comes first.
#[repr(C)]
pub(crate) struct Hold {
    /// The lease is valid before this moment, in nanoseconds. Moved by confirmed renewals only.
    deadline: AtomicU64,
    /// When the next renewal is due, in nanoseconds.
    next_renewal: AtomicU64,
    /// When `max_hold` is over, in nanoseconds; `NEVER`: there is none.
    max_end: AtomicU64,
    /// A [`Condition`].
    condition: AtomicU8,
    /// A renewal was sent and its answer is not there yet.
    renewing: AtomicBool,
    /// How many parts in it there are.
    pub(crate) owners: AtomicU32,
    /// Where the schedule has it.
    pub(crate) place: Place,
    pub(crate) id: HoldId,
    pub(crate) claim: Claim,
    pub(crate) terms: HoldTerms,
    pub(crate) telemetry: Telemetry,
    /// 0 until it is granted.
    fence: AtomicU64,
    pub(crate) shared: Arc<Shared>,
    /// What it lives by; `None`: the manager's, on its lock thread.
    timeline: Option<Arc<Timeline>>,
    pub(crate) clock: Clock,
    /// When the grant was known, in nanoseconds: `hold_at_least` and `max_hold` count from here.
    granted: AtomicU64,
    /// To whom it may be handed over at its end.
    pub(crate) hand_over: HandOver,
    /// When its body has finished, or it has ended, in nanoseconds; 0: neither.
    finished: AtomicU64,
    /// Told when the lease is lost: everybody who waits for that, but for the next.
    lost: Notify,
    /// The task of the first owner's body.
    pub(crate) body: AtomicWaker,
    /// An acquire of this claim may still arrive, even after the release.
    pub(crate) doubtful: bool,
}

impl Hold {
    /// A hold that was counted as [`Present`](crate::present::Present) already. `timeline`: `None` for the manager's, which was
    /// started.
    #[inline(always)]
    pub(crate) fn new(
        grant: Grant,
        terms: HoldTerms,
        shared: Arc<Shared>,
        timeline: Option<Arc<Timeline>>,
        telemetry: Telemetry,
    ) -> Self {
        let max_end = terms.max_hold.map_or(Moment::NEVER, |max| grant.granted.plus(max));
        Self {
            max_end: AtomicU64::new(max_end.as_nanos()),
            id: grant.id,
            claim: grant.claim,
            fence: AtomicU64::new(grant.fence.get()),
            deadline: AtomicU64::new(grant.deadline.as_nanos()),
            next_renewal: AtomicU64::new(grant.next_renewal.as_nanos()),
            granted: AtomicU64::new(grant.granted.as_nanos()),
            doubtful: grant.doubtful,
            hand_over: grant.hand_over,
            terms,
            shared,
            clock: timeline.as_ref().map_or(Clock::Real, |timeline| timeline.clock),
            timeline,
            telemetry,
            owners: AtomicU32::new(1),
            renewing: AtomicBool::new(false),
            finished: AtomicU64::new(0),
            condition: AtomicU8::new(Condition::NEW.bits()),
            lost: Notify::new(),
            body: AtomicWaker::new(),
            place: Place::default(),
        }
    }

    /// It is granted, and counts from when it was asked for. Until then nobody else sees it.
    pub(crate) fn begin(&self, fence: Fence) {
        self.fence.store(fence.get(), Ordering::Relaxed);
    }

    /// As [`begin`](Self::begin), and counts from now on.
    pub(crate) fn begin_at(&self, now: Moment, fence: Fence) {
        let max_end = self.terms.max_hold.map_or(Moment::NEVER, |max| now.plus(max));
        let set = |which: &AtomicU64, to: Moment| which.store(to.as_nanos(), Ordering::Relaxed);
        set(&self.max_end, max_end);
        set(&self.granted, now);
        set(&self.deadline, deadline(now, self.terms.ttl));
        set(&self.next_renewal, next_renewal(now, &self.terms));
        self.begin(fence);
    }

    pub(crate) fn fence(&self) -> Fence {
        Fence::from(self.fence.load(Ordering::Relaxed))
    }

    fn max_end(&self) -> Moment {
        Moment::from_nanos(self.max_end.load(Ordering::Relaxed))
    }

    pub(crate) fn key(&self) -> &Key {
        &self.claim.key
    }

    /// What it lives by. There is one: a hold is only made where there is.
    pub(crate) fn timeline(&self) -> Option<&Arc<Timeline>> {
        self.timeline.as_ref().or_else(|| self.shared.lock_thread())
    }

    fn condition(&self) -> Condition {
        Condition::from_bits(self.condition.load(Ordering::Acquire))
    }

    /// Changes the condition as `change` says. What it was before; `None`: it is not to be changed.
    fn change(&self, change: impl Fn(Condition) -> Option<Condition>) -> Option<Condition> {
        let change = |bits| change(Condition::from_bits(bits)).map(Condition::bits);
        let before = self.condition.fetch_update(Ordering::AcqRel, Ordering::Acquire, change);
        before.ok().map(Condition::from_bits)
    }

    /// The state now: a lease whose deadline has passed is lost, whether or not a timer has said so.
    pub(crate) fn state(&self) -> State {
        match self.condition().state() {
            State::Held => self.state_at(self.clock.now()),
            state => state,
        }
    }

    /// What [`state`](Self::state) is if it is `now`.
    fn state_at(&self, now: Moment) -> State {
        let state = self.condition().state();
        if state != State::Held {
            state
        } else if now >= self.max_end() && self.max_end() <= self.deadline() {
            self.lose(LostReason::MaxHold)
        } else if now >= self.deadline() {
            self.lose(LostReason::Expired)
        } else {
            State::Held
        }
    }

    /// Why the lease is lost, if it is.
    pub(crate) fn lost_reason(&self) -> Option<LostReason> {
        match self.state() {
            State::Lost(reason) => Some(reason),
            State::Held | State::Ended => None,
        }
    }

    /// As [`lost_reason`](Self::lost_reason), when a body has just finished. If it was the outermost one, the hold ends in
    /// the state that this finds, be it that the body's parameters take their time to go.
    pub(crate) fn lost_when_finished(&self) -> Option<LostReason> {
        let now = self.clock.now();
        if self.owners.load(Ordering::Acquire) == 1 {
            self.finished.store(now.as_nanos(), Ordering::Relaxed);
        }
        match self.state_at(now) {
            State::Lost(reason) => Some(reason),
            State::Held | State::Ended => None,
        }
    }

    /// As [`lost_reason`](Self::lost_reason), as far as it was noticed: who is woken by a loss needs no look at the clock.
    pub(crate) fn loss_noticed(&self) -> Option<LostReason> {
        match self.condition().state() {
            State::Lost(reason) => Some(reason),
            State::Held | State::Ended => None,
        }
    }

    /// How much longer the lease is valid if no renewal is confirmed; zero when it is not valid any more.
    pub(crate) fn remaining(&self) -> Duration {
        match self.state() {
            State::Held => self.deadline().min(self.max_end()).since(self.clock.now()),
            State::Lost(_) | State::Ended => Duration::ZERO,
        }
    }

    /// How long it has been held.
    pub(crate) fn held_for(&self) -> Duration {
        let granted = Moment::from_nanos(self.granted.load(Ordering::Relaxed));
        self.clock.now().since(granted)
    }

    /// Resolves when the lease may have been lost. Ask [`state`](Self::state) after creating it: a loss in between
    /// is then not missed.
    pub(crate) fn lost(&self) -> tokio::sync::futures::Notified<'_> {
        self.lost.notified()
    }

    /// Declares the lease lost, once: the first reason stays. Gives the state after it.
    pub(crate) fn lose(&self, reason: LostReason) -> State {
        let Some(before) = self.change(|condition| condition.lost(reason)) else {
            return self.condition().state();
        };
        self.shared.present.leave(before.counted().without(Counted::RUNNING));
        self.lost.notify_waiters();
        // Whatever its body does now: nobody waits for this lease any more.
        hand_over::break_off(self);
        self.body.wake();
        // Last: it runs a subscriber's code, which may take its time.
        self.telemetry.lost(self.key(), self.fence(), reason, self.held_for());
        State::Lost(reason)
    }

    /// Begins the end of the hold; true for the first caller only, who must release. Renewal stops here.
    pub(crate) fn begin_end(&self) -> bool {
        if self.has_ended() {
            return false;
        }
        let now = self.finished();
        // A lease whose time is over is lost, also if this is the first to notice.
        self.state_at(now);
        // If the lease was lost in this moment, that stays.
        if self.change(Condition::released).is_none() {
            return false;
        }
        self.finished.store(now.as_nanos(), Ordering::Relaxed);
        if let Some(timeline) = self.timeline() {
            timeline.forget(self);
        }
        true
    }

    /// When its body has finished, or it has ended: now, where neither is so.
    pub(crate) fn finished(&self) -> Moment {
        match self.finished.load(Ordering::Relaxed) {
            0 => self.clock.now(),
            finished => Moment::from_nanos(finished),
        }
    }

    /// The release was begun, and its own token keeps a shutdown waiting from here on: not earlier, or a shutdown
    /// between the two would end the lock thread under it.
    pub(crate) fn release_begun(&self) {
        let condition = self.condition();
        // Nobody else changes the condition of a hold that has ended.
        self.condition.store(condition.uncounted().bits(), Ordering::Release);
        self.shared.present.leave(condition.counted());
    }

    /// When the schedule should look at this hold.
    pub(crate) fn next_event(&self) -> Moment {
        if !self.condition().is_held() {
            return Moment::NEVER;
        }
        let renewal = if self.renewing.load(Ordering::Acquire) {
            Moment::NEVER
        } else {
            Moment::from_nanos(self.next_renewal.load(Ordering::Acquire))
        };
        renewal.min(self.deadline()).min(self.max_end())
    }

    /// Whether the release has begun.
    pub(crate) fn has_ended(&self) -> bool {
        self.condition().is_released()
    }

    /// Before the lease was last confirmed: not later than when that request was sent.
    pub(crate) fn confirmed(&self) -> Moment {
        Moment::from_nanos(self.deadline().as_nanos().saturating_sub(nanos(self.terms.ttl)))
    }

    pub(crate) fn deadline(&self) -> Moment {
        Moment::from_nanos(self.deadline.load(Ordering::Acquire))
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // Where nobody has released it; never otherwise.
        let condition = Condition::from_bits(*self.condition.get_mut());
        self.shared.present.leave(condition.counted());
    }
}

#[cfg(test)]
#[path = "tests/hold.rs"]
mod life;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deadline_keeps_a_hundredth_and_two_milliseconds_from_the_ttl() {
        let deadline = deadline(Moment::from_nanos(0), Duration::from_secs(10));
        assert_eq!(deadline.since(Moment::from_nanos(0)), Duration::from_millis(9_898));
    }
}
