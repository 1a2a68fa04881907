//! Users with no more permissions than each topology needs, and errors that name what is missing.

use std::time::Duration;

use lock_runtime::{LockError, LockManager};
use lock_tests::{ClusterGroup, RedisServer, RedlockGroup, Replication, SentinelGroup};

use crate::collector::{self, a_warning};
use crate::support::{ANSWER, LONG, until_renewed, until_subscribed, waiting, within};

/// The commands that locks need, wherever they are.
const LOCKS: [&str; 8] = ["EVAL", "EVALSHA", "GET", "SET", "DEL", "PTTL", "PEXPIRE", "TIME"];
/// The commands that wake-ups need.
const WAKE_UPS: [&str; 3] = ["PUBLISH", "SUBSCRIBE", "UNSUBSCRIBE"];
/// The commands that it takes to be served in turn.
const LINE: [&str; 7] = ["GETSET", "RPUSH", "LPOP", "LINDEX", "LRANGE", "LSET", "LREM"];
const PATTERNS: [&str; 3] = ["~lock:*", "~distributed-lock:*", "&distributed-lock:*"];

const USER: &str = "locker";
const CREDENTIALS: &str = "locker:correct-horse@";

/// The user with these commands besides those of every topology.
fn user(server: &RedisServer, commands: &[&str]) {
    let commands = LOCKS.iter().chain(&WAKE_UPS).chain(&LINE).chain(commands);
    let mut rules: Vec<String> = commands.map(|command| format!("+{command}")).collect();
    rules.extend(PATTERNS.map(str::to_owned));
    server.user(USER, "correct-horse", &rules);
}

/// All that a manager does: acquire, renew, wait, be woken, release.
async fn may_do_all(url: &str, servers: &[&RedisServer]) {
    let connect = async || {
        let builder = LockManager::builder().url(url).default_ttl(LONG);
        within(ANSWER, "connect", builder.connect()).await.unwrap()
    };
    all_that_is_done(connect().await, connect().await, servers).await;
}

async fn all_that_is_done(one: LockManager, two: LockManager, servers: &[&RedisServer]) {
    let request = one.lock("job").renew_every(Duration::from_millis(200));
    let guard = request.acquire().await.unwrap();
    until_renewed(guard.lease()).await;
    let waiter = waiting(&two, "job");
    until_subscribed(servers, "job", 1).await;
    guard.release().await.unwrap();
    let guard = within(ANSWER, "the waiter", waiter).await.unwrap().unwrap();
    assert!(one.inspect("job").await.unwrap().is_some());
    guard.release().await.unwrap();
}

/// The commands that were tried and are forbidden, other than those that only make the start-up
/// checks better.
fn nothing_needed_was_denied(server: &RedisServer) {
    let log = server.cli(&["ACL", "LOG"]);
    let mut lines = log.lines();
    let mut denied = Vec::new();
    while let Some(line) = lines.next() {
        if line == "object" {
            denied.extend(lines.next().map(str::to_lowercase));
        }
    }
    denied.retain(|command| !["info", "config", "config|get", "role", "client|setinfo"].contains(&command.as_str()));
    assert!(denied.is_empty(), "{denied:?}");
}

#[tokio::test]
async fn one_server_needs_the_commands_of_the_locks_and_nothing_else() {
    let server = RedisServer::start();
    user(&server, &[]);
    may_do_all(&server.url_with(CREDENTIALS, ""), &[&server]).await;
    nothing_needed_was_denied(&server);
}

#[tokio::test]
async fn a_missing_permission_is_named() {
    for missing in LOCKS {
        let server = RedisServer::start();
        let all = LOCKS.iter().chain(&WAKE_UPS).chain(&LINE);
        let commands = all.filter(|command| **command != missing);
        let mut rules: Vec<_> = commands.map(|command| format!("+{command}")).collect();
        rules.extend(PATTERNS.map(str::to_owned));
        server.user(USER, "correct-horse", &rules);
        let error = first_error(&server.url_with(CREDENTIALS, "")).await;
        let error = error.unwrap_or_else(|| panic!("{missing} is not needed"));
        assert!(error.is_unavailable(), "{missing}: {error:?}");
        assert!(error.to_string().contains(missing), "{missing}: {error}");
    }
}

/// What is said first of connect, acquire, an acquire of a held lock, and a release that leaves the
/// lock taken for a while and one that does not.
async fn first_error(url: &str) -> Option<LockError> {
    let used = async || {
        let manager = LockManager::connect(url).await?;
        let guard = manager.lock("job").acquire().await?;
        manager.lock("job").try_acquire().await?;
        guard.release().await?;
        let guard = manager.lock("other").hold_at_least(LONG).acquire().await?;
        guard.release().await
    };
    within(ANSWER * 4, "all of it", used()).await.err()
}

#[tokio::test]
async fn the_keys_that_a_user_may_not_touch_are_an_error_about_permissions() {
    let server = RedisServer::start();
    let mut rules: Vec<_> = LOCKS
        .iter()
        .chain(&WAKE_UPS)
        .map(|command| format!("+{command}"))
        .collect();
    rules.push("~other:*".to_owned());
    server.user(USER, "correct-horse", &rules);
    let url = server.url_with(CREDENTIALS, "");
    let error = match within(ANSWER, "connect", LockManager::connect(&url)).await {
        Err(error) => error,
        Ok(manager) => manager.lock("job").try_acquire().await.unwrap_err(),
    };
    assert!(error.is_unavailable(), "{error:?}");
    assert!(error.to_string().contains("permission"), "{error}");
}

#[tokio::test]
async fn replicas_need_wait() {
    let replication = Replication::start(1);
    let connect = async |extra: &[&str]| {
        user(&replication.master, extra);
        let url = replication.master.url_with(CREDENTIALS, "");
        let builder = LockManager::builder().url(url).default_ttl(LONG).min_replicas(1);
        within(ANSWER, "connect", builder.connect()).await
    };
    let (one, two) = (connect(&["WAIT"]).await.unwrap(), connect(&["WAIT"]).await.unwrap());
    all_that_is_done(one, two, &[&replication.master]).await;
    nothing_needed_was_denied(&replication.master);
    let error = match connect(&[]).await {
        Err(error) => error,
        Ok(manager) => manager.lock("job").try_acquire().await.unwrap_err(),
    };
    assert!(error.is_unavailable(), "{error:?}");
    assert!(error.to_string().contains("WAIT"), "{error}");
    assert!(!replication.master.exists("lock:job"));
}

#[tokio::test]
async fn a_master_behind_sentinels_needs_role() {
    let group = SentinelGroup::start();
    for server in &group.servers {
        user(server, &["ROLE"]);
    }
    let url = group.url_with(CREDENTIALS, "/mymaster");
    may_do_all(&url, &[&group.servers[0]]).await;
    nothing_needed_was_denied(&group.servers[0]);
}

#[tokio::test]
async fn a_cluster_needs_the_map_of_its_slots() {
    let cluster = ClusterGroup::start();
    for node in cluster.nodes() {
        user(node, &["CLUSTER|SLOTS", "ASKING"]);
    }
    let nodes: Vec<_> = cluster.nodes().iter().collect();
    may_do_all(&cluster.url_with(CREDENTIALS, ""), &nodes).await;
    for node in nodes {
        nothing_needed_was_denied(node);
    }
}

#[tokio::test]
async fn a_cluster_user_without_the_map_is_told_so() {
    let cluster = ClusterGroup::start();
    for node in cluster.nodes() {
        user(node, &[]);
    }
    let url = cluster.url_with(CREDENTIALS, "");
    let error = within(ANSWER, "connect", LockManager::connect(url)).await.unwrap_err();
    assert!(error.to_string().contains("CLUSTER"), "{error}");
}

#[tokio::test]
async fn the_members_of_a_redlock_group_need_info() {
    let group = RedlockGroup::start(3);
    for member in &group.members {
        user(member, &["INFO"]);
    }
    let url = group.url().replace("redlock://", &format!("redlock://{CREDENTIALS}"));
    let members: Vec<_> = group.members.iter().collect();
    may_do_all(&url, &members).await;
    for member in members {
        nothing_needed_was_denied(member);
    }
}

#[tokio::test]
async fn a_redlock_user_without_info_is_refused_or_warned_about() {
    collector::install();
    let group = RedlockGroup::start(3);
    for member in &group.members {
        user(member, &[]);
    }
    let url = group.url().replace("redlock://", &format!("redlock://{CREDENTIALS}"));
    match within(ANSWER, "connect", LockManager::connect(url)).await {
        Err(error) => assert!(error.to_string().contains("INFO"), "{error}"),
        Ok(_) => {
            let port = group.members[0].port().to_string();
            a_warning("INFO", |text| text.contains("INFO") && text.contains(&port)).await;
        }
    }
}
