//! A wake-up that never comes costs a re-check, wherever the lock is.

use std::time::Duration;

use lock_runtime::LockManager;
use lock_tests::{ClusterGroup, RedisServer, RedlockGroup, SentinelGroup, eventually};

use crate::support::{LATE, LONG, SOON, manager, until_subscribed, within};

/// The longest pause between two looks by default, half a second, and room for a loaded machine.
const RECHECK: Duration = Duration::from_secs(3);

/// How many scripts these servers were asked to run.
fn scripts(servers: &[&RedisServer]) -> usize {
    let calls = |server: &&RedisServer| -> usize {
        let stats = server.cli(&["INFO", "commandstats"]);
        let found = stats
            .lines()
            .find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
        found.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
    };
    servers.iter().map(calls).sum()
}

/// The lock is deleted where it is, of which nobody tells those who wait for it.
async fn is_found_free(url: &str, servers: &[&RedisServer], listeners: usize) {
    let [one, two]: [LockManager; 2] = [manager(url, "one").await, manager(url, "two").await];
    // Renewed so seldom that its holder says nothing about it either.
    let _holder = one.lock("job").ttl(LONG).acquire().await.unwrap();
    let waiter = tokio::spawn(two.lock("job").ttl(LONG).wait(LONG).acquire());
    until_subscribed(servers, "job", listeners).await;
    // By itself, long after the last subscription was a reason to look.
    let (before, looks) = (scripts(servers), 8 * listeners);
    eventually("it looks again and again", LATE, async || {
        scripts(servers) >= before + looks
    })
    .await;
    for server in servers {
        // Not of a node that would send us elsewhere, nor of a replica.
        let _elsewhere = server.try_cli(&["DEL", "lock:job"]);
    }
    let guard = within(RECHECK, "the next look", waiter).await.unwrap().unwrap();
    within(SOON, "release", guard.release()).await.unwrap();
}

#[tokio::test]
async fn a_lock_that_comes_free_in_silence_is_found_behind_sentinels() {
    let group = SentinelGroup::start();
    let servers: Vec<_> = group.servers.iter().collect();
    is_found_free(&group.url(), &servers, 1).await;
}

#[tokio::test]
async fn a_lock_that_comes_free_in_silence_is_found_in_a_cluster() {
    let cluster = ClusterGroup::start();
    let nodes: Vec<_> = cluster.nodes().iter().collect();
    is_found_free(&cluster.url(), &nodes, 1).await;
}

#[tokio::test]
async fn a_lock_that_comes_free_in_silence_is_found_on_independent_servers() {
    let group = RedlockGroup::start(3);
    let members: Vec<_> = group.members.iter().collect();
    is_found_free(&group.url(), &members, 3).await;
}
