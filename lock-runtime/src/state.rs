//! How far a lease is, also as a number that can be changed atomically.

use crate::LostReason;
use crate::present::Counted;

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

    const fn encode(self) -> u8 {
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

    fn decode(code: u8) -> Self {
        match code {
            0 => Self::Held,
            1 => Self::Ended,
            lost => Self::Lost(Self::REASONS[usize::from(lost - 2).min(4)]),
        }
    }
}

/// What changes together when a lease is lost or ends: its state, whether its release has begun (a lost one is released
/// too), and as what a shutdown waits for it. In one number, because every call changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Condition(u8);

impl Condition {
    const STATE: u8 = 0b111;
    const RELEASED: u8 = 0b1000;
    /// The bits of [`Counted`] are above these.
    const COUNTED: u8 = 4;

    /// Held, and counted.
    pub(crate) const NEW: Self = Self(State::Held.encode() | Counted::BOTH.bits() << Self::COUNTED);

    pub(crate) const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    pub(crate) const fn bits(self) -> u8 {
        self.0
    }

    pub(crate) fn state(self) -> State {
        State::decode(self.0 & Self::STATE)
    }

    pub(crate) const fn is_held(self) -> bool {
        self.0 & Self::STATE == State::Held.encode()
    }

    /// Whether the release has begun.
    pub(crate) const fn is_released(self) -> bool {
        self.0 & Self::RELEASED != 0
    }

    pub(crate) const fn counted(self) -> Counted {
        Counted::from_bits(self.0 >> Self::COUNTED)
    }

    /// Lost, and from now on only its body is waited for. `None`: it is not held any more.
    pub(crate) const fn lost(self, reason: LostReason) -> Option<Self> {
        if !self.is_held() {
            return None;
        }
        let left = Counted::RUNNING.bits() & self.counted().bits();
        let released = self.0 & Self::RELEASED;
        Some(Self(State::Lost(reason).encode() | released | left << Self::COUNTED))
    }

    /// Its release begins, if it has not yet. What is lost stays lost.
    pub(crate) const fn released(self) -> Option<Self> {
        if self.is_released() {
            return None;
        }
        let state = if self.is_held() { State::Ended.encode() } else { 0 };
        Some(Self(self.0 | state | Self::RELEASED))
    }

    /// Nobody waits for it any more.
    pub(crate) const fn uncounted(self) -> Self {
        Self(self.0 & (Self::STATE | Self::RELEASED))
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

    #[test]
    fn a_lease_is_lost_or_released_once_and_counted_until_then() {
        let new = Condition::NEW;
        assert_eq!(
            (new.state(), new.is_released(), new.counted()),
            (State::Held, false, Counted::BOTH)
        );
        for reason in State::REASONS {
            let lost = new.lost(reason).unwrap();
            assert_eq!((lost.state(), lost.counted()), (State::Lost(reason), Counted::RUNNING));
            assert_eq!(lost.lost(LostReason::Taken), None);
            let released = lost.released().unwrap();
            assert_eq!(
                (released.state(), released.counted()),
                (State::Lost(reason), Counted::RUNNING)
            );
            assert!(released.is_released() && released.released().is_none());
            assert_eq!(released.uncounted().counted(), Counted::NOWHERE);
            assert_eq!(Condition::from_bits(released.bits()), released);
        }
        let ended = new.released().unwrap();
        assert_eq!((ended.state(), ended.counted()), (State::Ended, Counted::BOTH));
        assert_eq!((ended.lost(LostReason::Taken), ended.released()), (None, None));
        let gone = ended.uncounted();
        assert_eq!(
            (gone.state(), gone.is_released(), gone.counted()),
            (State::Ended, true, Counted::NOWHERE)
        );
    }
}
