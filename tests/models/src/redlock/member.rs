//! One of the servers, and what is between it and each claim.

use super::{MOST, Phase};
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
    /// The fence that the member has granted, as far as the claim has heard.
    pub vote: Option<u8>,
    /// The claim knows that the member's counter is at its fence or above.
    pub raised: bool,
    /// The member has extended, in the present round of renewal.
    pub extended: bool,
    /// A release that has not arrived yet.
    pub release: bool,
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

    /// `vote.lua`: the fence, or nothing because another claim holds the lock.
    pub(super) fn acquire(&mut self, claim: usize) -> Option<u8> {
        if self.key.is_some_and(|key| key.owner != claim) {
            return None;
        }
        self.counter += 1;
        self.key = Some(Key {
            owner: claim,
            armed: NOW,
        });
        Some(self.counter)
    }

    /// `raise.lua`: the counter before, if it had come so far.
    pub(super) fn raise(&mut self, fence: u8) -> Option<u8> {
        let before = self.counter;
        self.counter = before.max(fence);
        Some(before).filter(|before| *before >= fence)
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
