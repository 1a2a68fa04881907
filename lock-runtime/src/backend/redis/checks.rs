//! The first questions to a server: can locks be kept there, and safely?

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use redis::{Value, cmd};
use tokio::time::Instant;

use super::super::Failure;
use super::answer::text;
use super::connection::{Connection, Refusal};
use super::door::Door;
use super::info;
use super::script::INSPECT;
use super::servers::Servers;
use crate::LockError;

/// Clocks that differ by more are worth a word. Leases do not depend on it; what is logged, and the fences of the server
/// that takes over, do.
const CLOCKS: Duration = Duration::from_secs(1);
/// Scripts may ask for the time and then write since this version.
const OLDEST: u32 = 5;

/// Connects, and asks every server that is to keep locks.
pub(super) async fn check(servers: &Servers, within: Duration) -> Result<(), LockError> {
    let deadline = Instant::now() + within;
    let checked = match servers {
        Servers::One(node) => match node.commands.place().door().await {
            Ok(door) => vec![(door, node.clone())],
            Err(failure) => return Err(info::no_server(failure)),
        },
        Servers::Cluster(cluster) => cluster.masters(deadline).await.map_err(info::no_server)?,
    };
    let mut answers = join_all(
        checked
            .iter()
            .map(|(door, node)| usable(door, &node.commands, servers, deadline)),
    )
    .await;
    let usable = answers.iter().filter(|answer| answer.is_ok()).count();
    // A cluster is there for what its other nodes have, but wrong credentials are wrong everywhere.
    answers.retain(|answer| match answer {
        Err(error @ LockError::Unavailable { .. }) if usable > 0 => {
            tracing::warn!(%error, "a node of the Redis Cluster cannot be used");
            false
        }
        _ => true,
    });
    answers.into_iter().collect()
}

async fn usable(door: &Door, connection: &Connection, servers: &Servers, deadline: Instant) -> Result<(), LockError> {
    // Not PING: what we ask here is something that a user with the least permissions may ask.
    let counter = servers.counter("");
    let reachable = match connection.ask(&INSPECT.keys(1).arg(&*counter), deadline).await {
        // Another node has that one; this one answers.
        Err(Refusal::Moved(_) | Refusal::Ask(_)) if matches!(servers, Servers::Cluster(_)) => Ok(()),
        Ok(_) => Ok(()),
        Err(refusal) => Err(Failure::from(refusal)),
    };
    if let Err(failure) = reachable {
        return Err(info::connect_error(failure, door));
    }
    let server = door.address();
    match facts(connection, deadline).await {
        Ok(facts) => judge(&server, &facts)?,
        Err(failure) => {
            tracing::info!(
                server,
                reason = failure.reason,
                "the server's version, role and maxmemory-policy could not be checked: the user may not run INFO, or there was no answer in time"
            );
        }
    }
    match clock(connection, deadline).await {
        Ok(difference) if difference > CLOCKS => {
            tracing::warn!(
                server,
                ?difference,
                "the clocks of the Redis server and of this machine differ"
            );
        }
        Ok(_) => {}
        Err(failure) => {
            tracing::info!(
                server,
                reason = failure.reason,
                "the server's clock could not be checked"
            );
        }
    }
    Ok(())
}

/// What INFO says, by name.
struct Facts(String);

impl Facts {
    fn get(&self, name: &str) -> Option<&str> {
        self.0
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(str::trim)
    }
}

async fn facts(connection: &Connection, deadline: Instant) -> Result<Facts, Failure> {
    let reply = connection.command(&cmd("INFO"), deadline).await?;
    text(&reply).map(Facts).ok_or_else(|| super::answer::unexpected(&reply))
}

fn judge(server: &str, facts: &Facts) -> Result<(), LockError> {
    let refused = |reason: String| LockError::Unavailable {
        key: None,
        reason,
        source: None,
    };
    let version = facts.get("redis_version").unwrap_or_default();
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    match major {
        Some(major) if major < OLDEST => {
            return Err(refused(format!(
                "the Redis server at {server} is version {version}, too old for our scripts; use {OLDEST}.0 or later"
            )));
        }
        Some(_) => {}
        None => tracing::warn!(server, version, "the server does not say which version of Redis it is"),
    }
    if facts.get("role") == Some("slave") {
        return Err(refused(format!(
            "the Redis server at {server} is a replica; connect to the master, or name the sentinels: redis+sentinel://host:port,host:port/service"
        )));
    }
    match facts.get("maxmemory_policy") {
        Some("noeviction") => {}
        Some(policy) => tracing::warn!(
            server,
            policy,
            "the Redis server evicts keys when its memory is full, and a lock that is evicted is lost; set `maxmemory-policy noeviction`"
        ),
        None => tracing::info!(
            server,
            "the server does not tell its maxmemory-policy; it should be `noeviction`"
        ),
    }
    Ok(())
}

/// How far the server's clock is from ours, at least.
async fn clock(connection: &Connection, deadline: Instant) -> Result<Duration, Failure> {
    let before = SystemTime::now();
    let reply = connection.command(&cmd("TIME"), deadline).await?;
    let after = SystemTime::now();
    let theirs = time(&reply).ok_or_else(|| super::answer::unexpected(&reply))?;
    // It was read between the two.
    let behind = before.duration_since(theirs).unwrap_or_default();
    let ahead = theirs.duration_since(after).unwrap_or_default();
    Ok(behind.max(ahead))
}

/// TIME's seconds and microseconds.
fn time(reply: &Value) -> Option<SystemTime> {
    let Value::Array(parts) = reply else { return None };
    let mut numbers = parts.iter().map(|part| text(part)?.parse::<u64>().ok());
    let (seconds, micros) = (numbers.next()??, numbers.next()??);
    // Checked: whatever answers, it must not make us panic.
    UNIX_EPOCH
        .checked_add(Duration::from_secs(seconds))?
        .checked_add(Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(seconds: &str, micros: &str) -> Option<SystemTime> {
        let number = |text: &str| Value::BulkString(text.into());
        time(&Value::Array(vec![number(seconds), number(micros)]))
    }

    #[test]
    fn the_servers_time_is_read() {
        let expected = UNIX_EPOCH + Duration::new(1_700_000_000, 5_000);
        assert_eq!(answer("1700000000", "5"), Some(expected));
    }

    #[test]
    fn a_time_that_no_clock_can_show_is_none() {
        assert_eq!(answer("18446744073709551615", "0"), None);
        assert_eq!(answer("soon", "0"), None);
        assert_eq!(time(&Value::Nil), None);
        assert_eq!(time(&Value::Array(Vec::new())), None);
    }
}
