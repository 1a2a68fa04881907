//! The fence: a number that tells a resource which hold is the newer one.

use std::fmt;

/// A number that grows with every hold of a key, for the resource to refuse writes of an older holder.
///
/// Over all holders of a key it only grows, also across `FLUSHALL`, a restart without persistence and a
/// failover, as long as the server's clock goes forward: it is the larger of the last fence plus one and the
/// server's time in microseconds. It is the same on re-entry and not changed by a renewal.
///
/// It prints as a plain number and fits an SQL `BIGINT` (it stays below 2^53, so that JSON and Lua keep it too).
///
/// The idea is Kleppmann's ("How to do distributed locking", 2016); Redis's own page on distributed locks
/// recommends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence(u64);

impl Fence {
    /// The number itself.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl From<u64> for Fence {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

impl From<Fence> for u64 {
    fn from(fence: Fence) -> Self {
        fence.0
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
