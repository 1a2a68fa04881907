//! The server: one lock, one fence counter, and what the four scripts do to them.

use super::{Lease, Safeguard};
use crate::{NOW, SKEW, TTL};

/// What the server keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Server {
    /// The lock's key.
    pub key: Option<Key>,
    /// The fence counter.
    pub counter: u8,
}

/// The lock's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// The claim whose value it has.
    pub owner: usize,
    /// When a request of its owner has set its ttl.
    pub armed: u8,
    /// It has a ttl.
    pub expires: bool,
    /// For the properties: a renewal has made it.
    pub by_renewal: bool,
}

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Request {
    /// `acquire.lua`
    Acquire,
    /// `renew.lua`
    Renew,
    /// `release.lua`
    Release,
}

/// What the server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Answer {
    /// Of an acquire: the claim holds the lock, with this fence.
    Granted(u8),
    /// Of an acquire: another claim does.
    Busy,
    /// Of a renewal.
    Extended,
    /// Of a renewal or a release: there is no key.
    Missing,
    /// Of a renewal or a release: the key is another claim's.
    Taken,
    /// Of a release.
    Released,
}

impl Server {
    /// Does what `claim` asks for, in one step.
    pub(super) fn apply(&mut self, rules: &Lease, claim: usize, request: Request) -> Answer {
        let own = self.key.is_some_and(|key| key.owner == claim);
        match request {
            Request::Acquire => {
                if self.key.is_some() && !(own && rules.has(Safeguard::Idempotent)) {
                    return Answer::Busy;
                }
                self.counter += 1;
                let expires = rules.has(Safeguard::ExpiryWithTheKey);
                self.key = Some(Key::of(claim, expires));
                Answer::Granted(self.counter)
            }
            Request::Renew => match &mut self.key {
                Some(key) if own => {
                    (key.armed, key.expires) = (NOW, true);
                    Answer::Extended
                }
                // `SET key value PX ttl`, as some libraries renew.
                found if !rules.has(Safeguard::RenewalCompares) => {
                    let by_renewal = found.is_none();
                    *found = Some(Key {
                        by_renewal,
                        ..Key::of(claim, true)
                    });
                    Answer::Extended
                }
                Some(_) => Answer::Taken,
                None => Answer::Missing,
            },
            Request::Release => match self.key {
                None => Answer::Missing,
                Some(_) if own || !rules.has(Safeguard::ReleaseCompares) => {
                    self.forget(rules);
                    Answer::Released
                }
                Some(_) => Answer::Taken,
            },
        }
    }

    /// Whether the key may be gone by the server's own clock, which may be fast.
    pub(super) fn may_expire(&self) -> bool {
        self.key.is_some_and(|key| key.expires && NOW + SKEW >= key.armed + TTL)
    }

    /// A tick has passed: what is over by the slowest clock is gone.
    pub(super) fn tick(&mut self, rules: &Lease) {
        if let Some(key) = &mut self.key {
            key.armed = key.armed.saturating_sub(1);
        }
        if self.key.is_some_and(|key| key.expires && NOW >= key.armed + TTL) {
            self.forget(rules);
        }
    }

    /// The key is gone.
    pub(super) fn forget(&mut self, rules: &Lease) {
        self.key = None;
        if !rules.has(Safeguard::CounterOutlivesKey) {
            self.counter = 0;
        }
    }
}

impl Key {
    fn of(owner: usize, expires: bool) -> Self {
        Self {
            owner,
            armed: NOW,
            expires,
            by_renewal: false,
        }
    }
}
