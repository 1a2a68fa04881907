//! A claim: one token, one attempt, and the hold that may come of it.

use super::{Redlock, Safeguard};
use crate::{DRIFT, NOW};

/// One claim on its way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Claim {
    /// How far it is.
    pub phase: Phase,
    /// The fence that goes with its request for votes, for as long as one of them is under way or may decide.
    pub proposal: u8,
}

/// How far a claim is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Before its first request.
    #[default]
    Idle,
    /// All members were asked.
    Asking {
        /// The clock before that.
        sent: u8,
    },
    /// A majority has granted, but not all of it counts for the proposal; a fence above all of it is written back.
    Raising {
        /// The clock before the first request.
        sent: u8,
        /// Above the votes.
        fence: u8,
    },
    /// `hold::State::Held`, or lost by its deadline without having noticed.
    Held {
        /// Valid before this, by its own clock.
        deadline: u8,
        /// A round of renewal is under way, and this was the clock before it.
        round: Option<u8>,
        /// How often it has asked for a renewal.
        renewals: u8,
    },
    /// It has ended or given up. Its releases, and a late acquire, may still be under way.
    Over,
}

impl Claim {
    /// Whether its body may go on: the lease is held, and its deadline is ahead (`Hold::state`).
    #[must_use]
    pub fn believes(&self) -> bool {
        matches!(self.phase, Phase::Held { deadline, .. } if NOW < deadline)
    }

    /// The deadline of a lease that was asked for at `sent` (`hold::deadline`).
    pub(super) fn deadline(rules: &Redlock, sent: u8) -> u8 {
        let from = if rules.has(Safeguard::DeadlineFromSend) {
            sent
        } else {
            NOW
        };
        let drift = if rules.has(Safeguard::Drift) { DRIFT } else { 0 };
        from + rules.ttl - drift
    }

    /// A tick has passed.
    pub(super) fn tick(&mut self) {
        let times: [Option<&mut u8>; 2] = match &mut self.phase {
            Phase::Asking { sent } | Phase::Raising { sent, .. } => [Some(sent), None],
            Phase::Held { deadline, round, .. } => [Some(deadline), round.as_mut()],
            Phase::Idle | Phase::Over => [None, None],
        };
        for time in times.into_iter().flatten() {
            *time = time.saturating_sub(1);
        }
    }

    /// A lease whose time is over stays lost, whatever its renewal brings.
    pub(super) fn settle(&mut self, rules: &Redlock) {
        match &mut self.phase {
            Phase::Held { deadline, round, .. } if NOW >= *deadline => (*deadline, *round) = (0, None),
            Phase::Asking { sent } | Phase::Raising { sent, .. } => *sent = (*sent).max(NOW - rules.ttl),
            Phase::Held { .. } | Phase::Idle | Phase::Over => {}
        }
    }
}
