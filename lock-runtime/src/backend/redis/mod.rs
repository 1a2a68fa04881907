//! Locks on one Redis server.
//!
//! The lock is a string key, set and expired in one step; every operation is one script and one round trip, and
//! compares the claim's value on the server. Scripts are safe to be sent twice.

mod answer;
mod connection;
mod failure;
mod info;
mod script;
mod wakeups;

use std::sync::Arc;
use std::time::Duration;

use ::redis::Value;
use ::url::Url;
use tokio::runtime::Handle;

use self::connection::Connection;
use self::script::{ACQUIRE, INSPECT, RELEASE, RENEW};
use self::wakeups::Wakeups;
use super::{Acquired, Backend, BoxFuture, Claim, Failure, Leave, Released, Renewed, Stored, Wakeup};
use crate::LockError;

/// The counter that fences come from: one for the server, however many locks there are, so that it is never left
/// behind by a lock that is not used any more.
const FENCE_COUNTER: &str = "distributed-lock:fence";
/// Stands before a lock's full name in the name of its wake-up channel.
const CHANNEL: &str = "distributed-lock:free:";

pub(crate) struct RedisBackend {
    connection: Connection,
    wakeups: Arc<Wakeups>,
}

impl RedisBackend {
    /// Reads the URL; does not connect yet.
    ///
    /// # Errors
    ///
    /// [`LockError::InvalidUrl`] with the part that is wrong.
    pub(crate) fn new(url: &Url) -> Result<Self, LockError> {
        let client = info::client(url)?;
        Ok(Self {
            wakeups: Arc::new(Wakeups::new(client.clone())),
            connection: Connection::new(client),
        })
    }
}

fn channel(name: &str) -> String {
    format!("{CHANNEL}{name}")
}

/// Whole milliseconds, and never 0, which would delete the key.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1)
}

impl Backend for RedisBackend {
    fn check(&self, within: Duration) -> BoxFuture<'_, Result<(), LockError>> {
        Box::pin(async move {
            // Not PING: what we ask here is something that a user with the least permissions may ask.
            match self.connection.run(INSPECT.keys(1).arg(FENCE_COUNTER), within).await {
                Ok(_) => Ok(()),
                Err(failure) => Err(info::connect_error(failure, self.connection.client())),
            }
        })
    }

    fn acquire<'a>(
        &'a self,
        claim: &'a Claim,
        ttl: Duration,
        within: Duration,
    ) -> BoxFuture<'a, Result<Acquired, Failure>> {
        Box::pin(async move {
            let call = ACQUIRE
                .keys(2)
                .arg(&claim.name)
                .arg(FENCE_COUNTER)
                .arg(&claim.value)
                .arg(millis(ttl));
            answer::acquired(&self.connection.run(call, within).await?)
        })
    }

    fn renew<'a>(
        &'a self,
        claims: &'a [(&'a Claim, Duration)],
        within: Duration,
    ) -> BoxFuture<'a, Vec<Result<Renewed, Failure>>> {
        Box::pin(async move {
            let mut call = RENEW.keys(claims.len());
            for (claim, _) in claims {
                call = call.arg(&claim.name);
            }
            for (claim, _) in claims {
                call = call.arg(&claim.value);
            }
            for (_, ttl) in claims {
                call = call.arg(millis(*ttl));
            }
            answer::renewed(self.connection.run(call, within).await, claims.len())
        })
    }

    fn release<'a>(
        &'a self,
        claim: &'a Claim,
        leave: Leave,
        within: Duration,
    ) -> BoxFuture<'a, Result<Released, Failure>> {
        Box::pin(async move {
            let rest = match leave {
                Leave::Nothing => 0,
                // Upwards: the lock stays taken at least so long.
                Leave::TakenFor(rest) => millis(rest) + 1,
            };
            let call = RELEASE
                .keys(1)
                .arg(&claim.name)
                .arg(&claim.value)
                .arg(rest)
                .arg(channel(&claim.name));
            match self.connection.run(call, within).await? {
                Value::Int(1) => Ok(Released::Done),
                Value::Int(0) => Ok(Released::Missing),
                Value::Int(_) => Ok(Released::Taken),
                other => Err(answer::unexpected(&other)),
            }
        })
    }

    fn inspect<'a>(&'a self, name: &'a str, within: Duration) -> BoxFuture<'a, Result<Option<Stored>, Failure>> {
        Box::pin(async move {
            let answer = self.connection.run_twice(|| INSPECT.keys(1).arg(name), within).await?;
            answer::stored(&answer)
        })
    }

    fn force_release<'a>(&'a self, name: &'a str, within: Duration) -> BoxFuture<'a, Result<bool, Failure>> {
        Box::pin(async move {
            // First who holds it, then that hold only: the deletion may be sent twice, and must not hit the next one.
            let holder = self
                .connection
                .run_twice(|| INSPECT.keys(1).arg(name), within / 2)
                .await?;
            let Some(value) = answer::raw_value(&holder)? else {
                return Ok(false);
            };
            let release = || RELEASE.keys(1).arg(name).arg(value).arg(0).arg(channel(name));
            match self.connection.run_twice(release, within / 2).await? {
                // Done, gone in the meantime, or released and taken again: that hold is over.
                Value::Int(_) => Ok(true),
                other => Err(answer::unexpected(&other)),
            }
        })
    }

    fn route(&self) -> u64 {
        self.connection.number()
    }

    fn wakeup(&self, name: &str, runtime: &Handle) -> Box<dyn Wakeup> {
        Wakeups::listen(&self.wakeups, channel(name), runtime)
    }
}
