//! The annotated functions whose calls are stored.

use lock_runtime::{LockError, Outcome, distributed_lock};
use serde::{Deserialize, Serialize};

use crate::log::Log;

/// How a call ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Kind {
    Good,
    /// Its body returns an error.
    Fails,
    /// Its body panics.
    Panics,
}

#[derive(Debug)]
#[allow(dead_code, reason = "what is in them is printed by `Debug`")]
pub(crate) enum SoakError {
    Lock(LockError),
    Log(redis::RedisError),
    Poison,
}

impl From<LockError> for SoakError {
    fn from(error: LockError) -> Self {
        Self::Lock(error)
    }
}

impl From<redis::RedisError> for SoakError {
    fn from(error: redis::RedisError) -> Self {
        Self::Log(error)
    }
}

/// What every third call does besides: others get their turn in the middle of it.
async fn work(number: u32) {
    if number.is_multiple_of(3) {
        tokio::task::yield_now().await;
    }
}

#[distributed_lock(
    key = "soak:<key>",
    ttl = "2s",
    on_conflict = "queue",
    delay = "200ms",
    attempts = 1000
)]
pub(crate) async fn step(#[state] log: &Log, key: u32, number: u32, kind: Kind) -> Result<Outcome<()>, SoakError> {
    log.started(key, number).await?;
    work(number).await;
    log.ended(key, number).await?;
    match kind {
        Kind::Good => Ok(Outcome::Done(())),
        Kind::Fails => Err(SoakError::Poison),
        #[allow(clippy::panic, reason = "a body that panics is what this shows")]
        Kind::Panics => panic!("poison"),
    }
}

/// Takes its worker down each time.
#[distributed_lock(key = "soak:<key>", ttl = "2s", on_conflict = "queue", delay = "200ms", attempts = 3)]
pub(crate) async fn crash(#[state] log: &Log, key: u32, number: u32) -> Result<Outcome<()>, SoakError> {
    log.started(key, number).await?;
    std::process::abort()
}
