//! One of the servers, and what is between it and each claim.

use super::{MOST, Phase, Redlock, Safeguard};
use crate::{NOW, SKEW};

/// What a member keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    /// The lock's key.
    pub key: Option<Key>,
    /// The fence counter.
    pub counter: u8,
    /// It has lost its data, at this time, and was not admitted to vote since.
    pub restarted: Option<u8>,
    /// It has ever lost its data.
    pub is_new: bool,
    /// One for each claim.
    pub links: [Link; MOST],
}

/// The lock's key on one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The claim whose value it has.
    pub owner: usize,
    /// When its ttl was set.
    pub armed: u8,
}

/// What is under way between one claim and one member.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Link {
    /// An acquire that has not arrived yet; perhaps nobody waits for its answer any more.
    pub acquire: bool,
    /// The member has granted, as far as the claim has heard.
    pub vote: Option<Vote>,
    /// The claim knows that it held the lock there when the member's counter was at its fence or above.
    pub raised: bool,
    /// The member has extended, in the present round of renewal.
    pub extended: bool,
    /// A release that has not arrived yet.
    pub release: bool,
}

/// What a member says beside "granted".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Vote {
    /// Its counter was below the proposal, and is there now.
    Counted,
    /// Its counter had come so far before, or further.
    Ahead(u8),
}

impl Member {
    pub(super) fn new(counter: u8) -> Self {
        Self {
            key: None,
            counter,
            restarted: None,
            is_new: false,
            links: [Link::default(); MOST],
        }
    }

    /// Whether the key has this claim's value.
    #[must_use]
    pub fn is_held_by(&self, claim: usize) -> bool {
        self.key.is_some_and(|key| key.owner == claim)
    }

    /// `vote.lua`; nothing because another claim holds the lock.
    pub(super) fn acquire(&mut self, claim: usize, proposal: u8, rules: &Redlock) -> Option<Vote> {
        if self.key.is_some_and(|key| key.owner != claim) {
            return None;
        }
        self.key = Some(Key {
            owner: claim,
            armed: NOW,
        });
        if self.counter >= proposal && rules.has(Safeguard::VoteCompares) {
            return Some(Vote::Ahead(self.counter));
        }
        if rules.has(Safeguard::VoteCounts) {
            self.counter = self.counter.max(proposal);
        }
        Some(Vote::Counted)
    }

    /// `raise.lua`: whether it counts.
    pub(super) fn raise(&mut self, claim: usize, fence: u8, rules: &Redlock) -> bool {
        let counts = self.is_held_by(claim) || !rules.has(Safeguard::RaiseCompares);
        if counts {
            self.counter = self.counter.max(fence);
        }
        counts
    }

    /// `renew.lua`
    pub(super) fn extend(&mut self, claim: usize) -> bool {
        match &mut self.key {
            Some(key) if key.owner == claim => {
                key.armed = NOW;
                true
            }
            _ => false,
        }
    }

    /// Whether the key may be gone by the member's own clock, which may be fast.
    pub(super) fn may_expire(&self, ttl: u8) -> bool {
        self.key.is_some_and(|key| NOW + SKEW >= key.armed + ttl)
    }

    /// A tick has passed: what is over by the slowest clock is gone.
    pub(super) fn tick(&mut self, ttl: u8) {
        let armed = self.key.as_mut().map(|key| &mut key.armed);
        for time in armed.into_iter().chain(self.restarted.as_mut()) {
            *time = time.saturating_sub(1);
        }
        if self.key.is_some_and(|key| NOW >= key.armed + ttl) {
            self.key = None;
        }
    }

    /// Comes back without any data.
    pub(super) fn restart(&mut self) {
        (self.key, self.counter) = (None, 0);
        (self.restarted, self.is_new) = (Some(NOW), true);
    }
}

impl Link {
    /// Forgets what its claim does not look at any more.
    pub(super) fn settle(&mut self, phase: Phase) {
        if !matches!(phase, Phase::Asking { .. }) {
            self.vote = None;
        }
        self.raised &= matches!(phase, Phase::Raising { .. });
        self.extended &= matches!(phase, Phase::Held { round: Some(_), .. });
    }
}
