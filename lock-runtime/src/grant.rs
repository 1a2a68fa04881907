//! What a hold begins with: what was granted, for how long, and how far it may be handed on.

use std::time::Duration;

use crate::Fence;
use crate::backend::Claim;
use crate::clock::{Moment, nanos};
use crate::hold::HoldId;
use crate::terms::HoldTerms;

/// What an acquire got.
pub(crate) struct Grant {
    pub(crate) id: HoldId,
    pub(crate) claim: Claim,
    pub(crate) fence: Fence,
    /// The lease is valid before this moment.
    pub(crate) deadline: Moment,
    pub(crate) next_renewal: Moment,
    /// When it was known.
    pub(crate) granted: Moment,
    /// An earlier request of this claim was not answered: it may still arrive.
    pub(crate) doubtful: bool,
    pub(crate) hand_over: HandOver,
}

/// How far a lease may be handed on inside the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HandOver {
    /// The holds that one grant of the backend leads to have the same number.
    pub(crate) chain: u64,
    /// How many more of them there may be: each takes the next of the fences that were reserved.
    pub(crate) left: u64,
    /// Not from this moment on: others wait elsewhere.
    pub(crate) until: Moment,
}

impl HandOver {
    /// It goes back to the backend.
    pub(crate) const NONE: Self = Self {
        chain: 0,
        left: 0,
        until: Moment::from_nanos(0),
    };
}

/// A lease that was asked for at `sent` is believed until its ttl, less the drift between two clocks: a hundredth of
/// the ttl for their rates and 2 ms for their grain (Redis documentation, "Distributed locks"; so do the Redlock
/// libraries).
pub(crate) fn deadline(sent: Moment, ttl: Duration) -> Moment {
    const GRAIN: u64 = 2_000_000;
    let ttl = nanos(ttl);
    sent.plus_nanos(ttl.saturating_sub(ttl / 100 + GRAIN))
}

/// Up to a tenth of the period early, so that holds which began together do not renew together for ever.
pub(crate) fn next_renewal(sent: Moment, terms: &HoldTerms) -> Moment {
    terms.renew_every.map_or(Moment::NEVER, |period| {
        let period = nanos(period);
        let early = fastrand::u64(0..=period / 10);
        sent.plus_nanos(period - early)
    })
}
