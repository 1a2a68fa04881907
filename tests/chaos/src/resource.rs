//! What the locks protect: a counter for each key, on a server of its own that nobody disturbs.
//!
//! A holder reads a counter, takes some milliseconds, and writes one more. Both steps carry the fence and are refused
//! when the counter has seen a larger one; the read too, or a write of the old holder could come between the new
//! holder's two steps. A write that is accepted but was made from another value than the present one is an update
//! lost, in spite of the fences.

use std::time::Duration;

use anyhow::{Context as _, Result};
use lock_tests::RedisServer;
use redis::aio::MultiplexedConnection;

/// Fences are compared as text of equal length: Lua's numbers have 53 bits.
const READ: &str = "
    local seen = redis.call('HGET', KEYS[1], 'fence') or ''
    if ARGV[1] < seen then
        redis.call('HINCRBY', KEYS[1], 'stale_reads', 1)
        return false
    end
    if ARGV[1] == seen and ARGV[2] ~= redis.call('HGET', KEYS[1], 'holder') then
        redis.call('HINCRBY', KEYS[1], 'repeated', 1)
    end
    redis.call('HSET', KEYS[1], 'fence', ARGV[1], 'holder', ARGV[2])
    return tonumber(redis.call('HGET', KEYS[1], 'value') or '0')";

const WRITE: &str = "
    if ARGV[1] < (redis.call('HGET', KEYS[1], 'fence') or '') then
        redis.call('HINCRBY', KEYS[1], 'stale_writes', 1)
        return false
    end
    if ARGV[2] ~= (redis.call('HGET', KEYS[1], 'value') or '0') then
        redis.call('HINCRBY', KEYS[1], 'overwritten', 1)
    end
    redis.call('HSET', KEYS[1], 'value', tonumber(ARGV[2]) + 1)
    return redis.call('HINCRBY', KEYS[1], 'accepted', 1)";

/// A connection to the counters.
#[derive(Clone)]
pub(crate) struct Resource(MultiplexedConnection);

/// What the counters have seen, all together.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    pub(crate) accepted: u64,
    pub(crate) stale_reads: u64,
    pub(crate) stale_writes: u64,
    /// Holders that came with a fence that another one had before.
    pub(crate) repeated: u64,
    /// Updates that others have overwritten.
    pub(crate) lost: u64,
}

impl Resource {
    /// # Errors
    /// When nothing answers there.
    pub(crate) async fn connect(url: &str) -> Result<Resource> {
        let client = redis::Client::open(url).context("the counters' URL")?;
        // Longer than any pause of a client: when it wakes, its answer is there.
        let patient = redis::AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(30)));
        let connection = client.get_multiplexed_async_connection_with_config(&patient).await;
        Ok(Resource(connection.context("cannot connect to the counters")?))
    }

    /// The counter's value; `None`: the fence is stale.
    ///
    /// # Errors
    /// When the server does not answer.
    pub(crate) async fn read(&mut self, key: &str, fence: u64, holder: &str) -> Result<Option<u64>> {
        self.step(READ, key, fence, holder).await
    }

    /// Writes one more than `value`; `None`: the fence is stale.
    ///
    /// # Errors
    /// When the server does not answer.
    pub(crate) async fn write(&mut self, key: &str, fence: u64, value: u64) -> Result<Option<u64>> {
        self.step(WRITE, key, fence, &value.to_string()).await
    }

    async fn step(&mut self, script: &str, key: &str, fence: u64, argument: &str) -> Result<Option<u64>> {
        let mut eval = redis::cmd("EVAL");
        eval.arg(script)
            .arg(1)
            .arg(key)
            .arg(format!("{fence:020}"))
            .arg(argument);
        eval.query_async(&mut self.0)
            .await
            .context("the counters do not answer")
    }
}

/// What all counters of this server have seen.
///
/// # Errors
/// When it does not answer.
pub(crate) fn counted(server: &RedisServer) -> Result<Counted> {
    let ask = |command: &[&str]| server.try_cli(command).map_err(anyhow::Error::msg);
    let mut sum = Counted::default();
    for key in ask(&["KEYS", "*"])?.lines() {
        let names = [
            "value",
            "accepted",
            "stale_reads",
            "stale_writes",
            "repeated",
            "overwritten",
        ];
        let reply = ask(&[&["HMGET", key], &names[..]].concat())?;
        let mut fields = reply.lines().map(|field| field.parse::<u64>().unwrap_or_default());
        let mut next = || fields.next().unwrap_or_default();
        let (value, accepted) = (next(), next());
        sum.accepted += accepted;
        sum.stale_reads += next();
        sum.stale_writes += next();
        sum.repeated += next();
        // Two ways to count them, of which the first sees also one that was made good by another.
        sum.lost += next().max(accepted.saturating_sub(value));
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use super::*;

    #[tokio::test]
    async fn an_old_holder_is_stopped_at_both_steps_and_costs_nothing() {
        let server = RedisServer::start();
        let mut resource = Resource::connect(&server.url()).await.unwrap();
        assert_eq!(resource.read("key", 5, "old").await.unwrap(), Some(0));
        assert_eq!(resource.read("key", 10, "new").await.unwrap(), Some(0));
        assert_eq!(resource.write("key", 5, 0).await.unwrap(), None);
        assert_eq!(resource.read("key", 5, "old").await.unwrap(), None);
        assert_eq!(resource.write("key", 10, 0).await.unwrap(), Some(1));
        let counted = counted(&server).unwrap();
        assert_eq!((counted.stale_writes, counted.stale_reads), (1, 1));
        assert_eq!((counted.accepted, counted.lost, counted.repeated), (1, 0, 0));
    }

    #[tokio::test]
    async fn what_no_fence_stops_is_counted_as_lost() {
        let server = RedisServer::start();
        let mut resource = Resource::connect(&server.url()).await.unwrap();
        assert_eq!(resource.read("key", 5, "one").await.unwrap(), Some(0));
        assert_eq!(resource.read("key", 5, "two").await.unwrap(), Some(0));
        assert_eq!(resource.write("key", 5, 0).await.unwrap(), Some(1));
        assert_eq!(resource.write("key", 5, 0).await.unwrap(), Some(2));
        let counted = counted(&server).unwrap();
        assert_eq!((counted.accepted, counted.lost, counted.repeated), (2, 1, 1));
    }
}
