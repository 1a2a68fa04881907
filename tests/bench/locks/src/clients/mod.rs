//! The libraries that are compared, behind one trait.

mod distributed_lock;
mod grant;
mod ours;
mod raw;
mod rslock;
mod scripts;

use std::future::Future;

use anyhow::Result;

pub(crate) use distributed_lock::DistributedLock;
pub(crate) use grant::Grant;
pub(crate) use ours::{ByHand, Ours, manager};
pub(crate) use raw::{Raw, RawMajority, connect as raw_connection};
pub(crate) use rslock::Rslock;
pub(crate) use scripts::Scripts;

/// The ttl of every lock here; no run comes near it.
pub(crate) const TTL: std::time::Duration = std::time::Duration::from_secs(10);

/// A client of one library, connected.
pub(crate) trait Client: Clone + Send + Sync + 'static {
    /// One whole call with an empty body, of a lock that is free.
    fn cycle(&self, key: u32) -> impl Future<Output = Result<()>> + Send;

    /// Waits for the lock, runs the body, releases.
    fn enter<B: Future<Output = ()> + Send>(&self, key: u32, body: B) -> impl Future<Output = Result<()>> + Send;
}

/// The key of this number, as each library gets it.
pub(crate) fn name(key: u32) -> String {
    format!("bench:{key}")
}
