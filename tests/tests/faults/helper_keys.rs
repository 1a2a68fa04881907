//! What is left in Redis: a bounded number of helper keys, and no lock without a ttl.

use std::time::Duration;

use crate::support::{LONG, SOON, redis};

/// More helper keys than this are not "bounded, however many different locks there are".
const HELPERS: usize = 4;

#[tokio::test]
async fn a_thousand_locks_leave_a_handful_of_keys() {
    let (server, manager) = redis().await;
    for number in 0..1000 {
        manager.lock(format!("job:{number}")).run(async {}).await.unwrap();
    }
    manager.shutdown(SOON).await;
    assert!(server.keys().len() <= HELPERS, "{:?}", server.keys());
}

#[tokio::test]
async fn a_thousand_held_locks_have_a_handful_of_keys_beside_theirs() {
    let (server, manager) = redis().await;
    let mut guards = Vec::new();
    for number in 0..1000 {
        guards.push(manager.lock(format!("job:{number}")).ttl(LONG).acquire().await.unwrap());
    }
    let size: usize = server.cli(&["DBSIZE"]).parse().unwrap();
    assert!((1000..=1000 + HELPERS).contains(&size), "{size} keys");
}

#[tokio::test]
async fn helper_keys_are_told_from_locks_by_their_name() {
    let (server, manager) = redis().await;
    let _guard = manager.lock("job").acquire().await.unwrap();
    for key in server.keys() {
        assert!(key == "lock:job" || key.starts_with("distributed-lock:"), "{key}");
    }
}

#[tokio::test]
async fn a_lock_has_its_ttl_from_the_first_moment() {
    let (server, manager) = redis().await;
    let ttl = Duration::from_secs(30);
    let _guard = manager.lock("job").ttl(ttl).acquire().await.unwrap();
    let left = server.ttl("lock:job").expect("the key has a ttl");
    assert!(left <= ttl && left > ttl / 2, "{left:?}");
}

#[tokio::test]
async fn the_value_is_a_random_token_and_the_owner() {
    let server = lock_tests::RedisServer::start();
    let builder = lock_runtime::LockManager::builder().url(server.url()).owner("api-1");
    let manager = builder.connect().await.unwrap();
    let _guard = manager.lock("job").acquire().await.unwrap();
    let value = server.get("lock:job").unwrap();
    let (token, owner) = value.split_once(' ').unwrap();
    assert_eq!(owner, "api-1");
    // The shape of a version 4 UUID: 8-4-4-4-12 hexadecimal digits, a 4 where the version is.
    let groups: Vec<&str> = token.split('-').collect();
    assert_eq!(
        groups.iter().map(|group| group.len()).collect::<Vec<_>>(),
        [8, 4, 4, 4, 12],
        "{token}"
    );
    assert!(groups.concat().bytes().all(|byte| byte.is_ascii_hexdigit()), "{token}");
    assert!(groups[2].starts_with('4'), "{token}");
}

#[tokio::test]
async fn every_hold_has_a_token_of_its_own() {
    let (server, manager) = redis().await;
    let mut tokens = std::collections::HashSet::new();
    for _ in 0..100 {
        let guard = manager.lock("job").acquire().await.unwrap();
        assert!(tokens.insert(server.get("lock:job").unwrap()));
        guard.release().await.unwrap();
    }
}
