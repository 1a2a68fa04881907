//! Handing a lease on to the next who waits in this process, without a round trip.
//!
//! The backend goes on seeing one claim. What changes is the hold: the next one has a fence of its own, out of those that
//! were reserved with the grant, the deadline that was confirmed last, and its own terms from there on. A chain of holds
//! is bounded in number and in time, and takes in nobody who came later than a moment after the grant: others wait in other
//! processes.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Moment;
use crate::grant::{Grant, HandOver, next_renewal};
use crate::hold::{Hold, HoldId};
use crate::waiter::Waiter;
use crate::{Fence, LostReason};

/// How many fences are reserved with a grant at most. As many holds come from it.
pub(crate) const MOST: u64 = 256;
/// How long after a grant a caller may come and be handed its lease. Short bodies are over by then, many of them; others
/// elsewhere do not notice so short a time.
pub(crate) const NEWCOMERS: Duration = Duration::from_millis(1);
/// How long after its grant a lease is handed on.
pub(crate) const LONGEST: Duration = Duration::from_millis(100);
/// What must be left of a lease that is handed on.
const ENOUGH: Duration = Duration::from_millis(500);

/// Hands the lease of a hold that has ended to the next in line, if that may be. `lost`: why it was not valid any more.
pub(crate) fn pass_on(hold: &Hold, lost: Option<LostReason>) -> bool {
    let HandOver { chain, left, until } = hold.hand_over;
    if left == 0 {
        return false;
    }
    let Some(timeline) = hold.timeline() else {
        return false;
    };
    let lines = &timeline.lines;
    let now = hold.clock.now();
    let goes_on = lost.is_none()
        && now < until
        && !hold.doubtful
        && hold.terms.hold_at_least.is_none()
        && !hold.shared.is_closing();
    let next = if goes_on {
        lines.next_of(hold.claim.name(), chain, |waiter| suits(hold, waiter, now))
    } else {
        None
    };
    let Some(waiter) = next else {
        // Those who were to get it wait for the backend again.
        lines.end_of(hold.claim.name(), chain, &hold.shared, timeline);
        return false;
    };
    let remaining = hold.deadline().since(now);
    let next_renewal = next_renewal(now, &waiter.terms.hold)
        .min(hold.planned(now))
        .min(now.plus(remaining / 4));
    let grant = Grant {
        id: HoldId::next(),
        claim: hold.claim.clone(),
        fence: Fence::from(hold.fence().get() + 1),
        deadline: hold.deadline(),
        next_renewal,
        granted: now,
        doubtful: false,
        hand_over: HandOver {
            chain,
            left: left - 1,
            until,
        },
    };
    waiter.give(grant, Arc::clone(&hold.shared), Arc::clone(timeline));
    true
}

/// The lease is lost: those who were promised it wait for the backend again.
pub(crate) fn break_off(hold: &Hold) {
    if hold.hand_over.left > 0
        && let Some(timeline) = hold.timeline()
    {
        let (name, chain) = (hold.claim.name(), hold.hand_over.chain);
        timeline.lines.end_of(name, chain, &hold.shared, timeline);
    }
}

/// Whether what is left of the lease is enough for who waits. One that is never renewed was promised a whole ttl; and a
/// renewal must not shorten a lease that is believed to be longer.
fn suits(hold: &Hold, waiter: &Waiter, now: Moment) -> bool {
    let enough = (waiter.terms.ttl / 4).min(ENOUGH);
    waiter.terms.ttl == hold.terms.ttl
        && waiter.terms.hold.renew_every.is_some()
        && hold.deadline().since(now) >= enough
}
