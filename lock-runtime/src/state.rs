//! How far a lease is, also as a number that can be changed atomically.

use crate::LostReason;

/// How far the lease is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Held,
    Lost(LostReason),
    /// Released by its holder while it was valid.
    Ended,
}

impl State {
    const REASONS: [LostReason; 5] = [
        LostReason::Expired,
        LostReason::Taken,
        LostReason::Missing,
        LostReason::MaxHold,
        LostReason::Shutdown,
    ];

    pub(crate) fn encode(self) -> u8 {
        match self {
            Self::Held => 0,
            Self::Ended => 1,
            Self::Lost(LostReason::Expired) => 2,
            Self::Lost(LostReason::Taken) => 3,
            Self::Lost(LostReason::Missing) => 4,
            Self::Lost(LostReason::MaxHold) => 5,
            Self::Lost(LostReason::Shutdown) => 6,
        }
    }

    pub(crate) fn decode(code: u8) -> Self {
        match code {
            0 => Self::Held,
            1 => Self::Ended,
            lost => Self::Lost(Self::REASONS[usize::from(lost - 2).min(4)]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_survives_its_code() {
        let lost = State::REASONS.map(State::Lost);
        for state in [State::Held, State::Ended].into_iter().chain(lost) {
            assert_eq!(State::decode(state.encode()), state);
        }
    }
}
