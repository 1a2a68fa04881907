//! A Redis user with no more permissions than the error about a missing one asks for.

use std::time::Duration;

use lock_runtime::LockManager;
use lock_tests::RedisServer;

use crate::support::{ANSWER, LATE, LONG, redis, until_renewed, until_subscribed, within};

/// The commands that locks need.
const COMMANDS: [&str; 8] = ["EVAL", "EVALSHA", "GET", "SET", "DEL", "PTTL", "PEXPIRE", "TIME"];
/// The commands that wake-ups need.
const WAKE_UPS: [&str; 3] = ["PUBLISH", "SUBSCRIBE", "UNSUBSCRIBE"];
/// The commands that it takes to be served in turn. Locks work without.
const LINE: [&str; 7] = ["GETSET", "RPUSH", "LPOP", "LINDEX", "LRANGE", "LSET", "LREM"];
const KEYS: [&str; 2] = ["~lock:*", "~distributed-lock:*"];
const CHANNELS: &str = "&distributed-lock:*";

/// A manager of a user with these rules of an access control list, and nothing else.
async fn user(server: &RedisServer, commands: &[&str], others: &[&str]) -> LockManager {
    let allowed: Vec<String> = commands.iter().map(|command| format!("+{command}")).collect();
    let mut rules = vec!["ACL", "SETUSER", "locker", "reset", "on", ">secret"];
    rules.extend(allowed.iter().map(String::as_str));
    rules.extend(others);
    server.cli(&rules);
    LockManager::connect(server.url_with("locker:secret@", ""))
        .await
        .expect("the user may connect")
}

/// The user with exactly what is needed.
async fn least(server: &RedisServer) -> LockManager {
    let commands = [&COMMANDS[..], &WAKE_UPS[..], &LINE[..]].concat();
    let manager = user(server, &commands, &[KEYS[0], KEYS[1], CHANNELS]).await;
    // The one question that a server may refuse: INFO, when the program starts.
    let denied = server.cli(&["ACL", "LOG"]);
    assert_eq!(denied.matches("\ninfo\n").count(), 1, "{denied}");
    assert_eq!(denied.matches("reason").count(), 1, "{denied}");
    server.cli(&["ACL", "LOG", "RESET"]);
    manager
}

/// Nothing was tried that is not allowed.
fn nothing_was_denied(server: &RedisServer) {
    let denied = server.cli(&["ACL", "LOG"]);
    assert!(denied.is_empty(), "{denied}");
}

#[tokio::test]
async fn the_error_about_a_missing_permission_names_all_that_are_needed() {
    let (server, manager) = redis().await;
    server.cli(&["ACL", "SETUSER", "default", "-@all"]);
    let error = within(ANSWER, "acquire", manager.lock("job").try_acquire())
        .await
        .unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");
    let text = error.to_string();
    for needed in COMMANDS
        .iter()
        .chain(&WAKE_UPS)
        .chain(&LINE)
        .chain(&["distributed-lock:*"])
    {
        assert!(text.contains(needed), "{needed} is not in: {text}");
    }
}

#[tokio::test]
async fn a_user_with_the_least_permissions_may_acquire_renew_and_release() {
    let server = RedisServer::start();
    let manager = least(&server).await;
    let request = manager.lock("job").ttl(Duration::from_secs(10));
    let guard = request.renew_every(Duration::from_millis(200)).acquire().await.unwrap();
    until_renewed(guard.lease()).await;
    guard.release().await.unwrap();
    assert!(!server.exists("lock:job"));
    nothing_was_denied(&server);
}

#[tokio::test]
async fn a_user_with_the_least_permissions_may_hold_at_least() {
    let server = RedisServer::start();
    let manager = least(&server).await;
    let request = manager.lock("job").ttl(LONG).hold_at_least(LATE);
    request.acquire().await.unwrap().release().await.unwrap();
    assert!(server.ttl("lock:job").is_some_and(|rest| rest <= LATE));
    nothing_was_denied(&server);
}

#[tokio::test]
async fn a_user_with_the_least_permissions_is_woken_by_a_release() {
    let server = RedisServer::start();
    let manager = least(&server).await;
    let guard = manager.lock("job").ttl(LONG).acquire().await.unwrap();
    // Re-checks so rare that none of them is taken for the wake-up.
    let (min, max) = (Duration::from_secs(50), Duration::from_secs(55));
    let waiting = manager.lock("job").ttl(LONG).wait(LONG).backoff(min, max);
    let waiting = tokio::spawn(waiting.acquire());
    until_subscribed(&server, "job").await;
    guard.release().await.unwrap();
    drop(within(ANSWER, "the waiter", waiting).await.unwrap().unwrap());
    nothing_was_denied(&server);
}

#[tokio::test]
async fn a_user_with_the_least_permissions_may_inspect_and_force_a_release() {
    let server = RedisServer::start();
    let manager = least(&server).await;
    let _guard = manager.lock("job").ttl(LONG).acquire().await.unwrap();
    assert!(manager.inspect("job").await.unwrap().is_some());
    assert!(manager.force_release("job").await.unwrap());
    assert!(manager.inspect("job").await.unwrap().is_none());
    nothing_was_denied(&server);
}

/// The second caller gets the lock soon after the first one released it, though it cannot be told.
async fn a_release_is_found_out_by_a_timer(manager: &LockManager) {
    let guard = manager.lock("job").ttl(LONG).acquire().await.unwrap();
    let mut waiting = tokio::spawn(manager.lock("job").ttl(LONG).wait(LONG).acquire());
    // Long enough to try what is forbidden.
    tokio::time::timeout(Duration::from_secs(1), &mut waiting)
        .await
        .expect_err("the lock is held");
    guard.release().await.unwrap();
    let guard = within(ANSWER, "the waiter", waiting).await.unwrap().unwrap();
    guard.release().await.unwrap();
}

#[tokio::test]
async fn a_user_who_may_not_stand_in_line_finds_out_a_release_by_a_timer() {
    let server = RedisServer::start();
    let commands = [&COMMANDS[..], &WAKE_UPS[..]].concat();
    let manager = user(&server, &commands, &[KEYS[0], KEYS[1], CHANNELS]).await;
    a_release_is_found_out_by_a_timer(&manager).await;
}

#[tokio::test]
async fn a_user_without_the_keys_of_the_line_finds_out_a_release_by_a_timer() {
    let server = RedisServer::start();
    let commands = [&COMMANDS[..], &WAKE_UPS[..], &LINE[..]].concat();
    let manager = user(&server, &commands, &[KEYS[0], "~distributed-lock:fence", CHANNELS]).await;
    a_release_is_found_out_by_a_timer(&manager).await;
}

#[tokio::test]
async fn a_user_without_channels_finds_out_a_release_by_a_timer() {
    let server = RedisServer::start();
    let commands = [&COMMANDS[..], &WAKE_UPS[..]].concat();
    let manager = user(&server, &commands, &KEYS).await;
    a_release_is_found_out_by_a_timer(&manager).await;
}

#[tokio::test]
async fn a_user_without_the_commands_of_wake_ups_finds_out_a_release_by_a_timer() {
    let server = RedisServer::start();
    let manager = user(&server, &COMMANDS, &[KEYS[0], KEYS[1], CHANNELS]).await;
    a_release_is_found_out_by_a_timer(&manager).await;
}

#[tokio::test]
async fn a_forced_release_without_the_permission_to_publish_frees_the_lock() {
    let server = RedisServer::start();
    let manager = user(&server, &COMMANDS, &KEYS).await;
    let _guard = manager.lock("job").ttl(LONG).acquire().await.unwrap();
    assert!(manager.force_release("job").await.unwrap());
    assert!(!server.exists("lock:job"));
}
