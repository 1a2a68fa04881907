//! The connection goes, the server comes back: calls work again.

use std::time::{Duration, Instant};

use lock_runtime::{LockError, LockGuard, LockManager};
use lock_tests::{Proxy, RedisServer, eventually};

use crate::support::{ANSWER, LATE, LONG, SOON, redis, until_renewed, until_subscribed, within};

async fn works(manager: &LockManager) {
    within(SOON, "acquire", manager.lock("job").try_acquire())
        .await
        .expect("the server is there")
        .expect("nobody holds the lock")
        .release()
        .await
        .unwrap();
}

#[tokio::test]
async fn the_first_call_after_the_connection_dropped_works() {
    let server = RedisServer::start();
    let proxy = Proxy::to(&server);
    let manager = LockManager::connect(&proxy.url()).await.unwrap();
    for _ in 0..10 {
        works(&manager).await;
        proxy.cut();
    }
    assert!(proxy.connections() >= 10, "{} connections", proxy.connections());
}

#[tokio::test]
async fn the_first_call_after_the_clients_were_killed_works() {
    let (server, manager) = redis().await;
    for _ in 0..10 {
        works(&manager).await;
        assert_ne!(
            server.cli(&["CLIENT", "KILL", "USER", "default"]),
            "0",
            "nobody was connected"
        );
    }
}

#[tokio::test]
async fn the_first_call_after_a_restart_works() {
    let (mut server, manager) = redis().await;
    works(&manager).await;
    server.restart();
    works(&manager).await;
}

#[tokio::test]
async fn the_first_call_after_a_restart_works_on_a_unix_socket() {
    let mut server = RedisServer::start();
    let manager = LockManager::connect(&server.unix_url()).await.unwrap();
    works(&manager).await;
    server.restart();
    works(&manager).await;
}

#[tokio::test]
async fn many_first_calls_after_a_drop_work() {
    let server = RedisServer::start();
    let proxy = Proxy::to(&server);
    let manager = LockManager::connect(&proxy.url()).await.unwrap();
    proxy.cut();
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..50 {
        let manager = manager.clone();
        calls.spawn(async move { manager.lock(format!("job:{number}")).run(async {}).await });
    }
    while let Some(call) = calls.join_next().await {
        call.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_server_that_was_down_for_a_while_is_found_again() {
    let (mut server, manager) = redis().await;
    server.kill();
    within(ANSWER, "acquire", manager.lock("job").try_acquire())
        .await
        .unwrap_err();
    server.restart();
    eventually("a call works", ANSWER, async || {
        manager.lock("job").run(async {}).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn a_server_that_hung_works_again_when_it_wakes() {
    let (server, manager) = redis().await;
    server.pause();
    within(ANSWER, "acquire", manager.lock("job").try_acquire())
        .await
        .unwrap_err();
    server.resume();
    eventually("a call works", ANSWER, async || {
        manager.lock("another").run(async {}).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_hangs_for_ever_is_replaced() {
    let server = RedisServer::start();
    let proxy = Proxy::to(&server);
    let manager = LockManager::connect(&proxy.url()).await.unwrap();
    works(&manager).await;
    // Replies on this connection never come again, on new ones they do.
    proxy.swallow_replies(true);
    let before = proxy.connections();
    within(ANSWER, "acquire", manager.lock("job").try_acquire())
        .await
        .unwrap_err();
    eventually("a new connection is made", LATE, async || {
        let _ = manager.lock("another").try_acquire().await;
        proxy.connections() > before
    })
    .await;
}

#[tokio::test]
async fn a_hold_survives_the_loss_of_its_connection() {
    let server = RedisServer::start();
    let proxy = Proxy::to(&server);
    let manager = LockManager::connect(&proxy.url()).await.unwrap();
    let request = manager
        .lock("job")
        .ttl(Duration::from_secs(10))
        .renew_every(Duration::from_millis(200));
    let guard = request.acquire().await.unwrap();
    proxy.cut();
    until_renewed(guard.lease()).await;
    guard.release().await.unwrap();
    assert!(!server.exists("lock:job"));
}

#[tokio::test]
async fn a_hold_survives_a_server_that_hangs_for_less_than_its_ttl() {
    let (server, manager) = redis().await;
    let request = manager
        .lock("job")
        .ttl(Duration::from_secs(20))
        .renew_every(Duration::from_millis(200));
    let guard = request.acquire().await.unwrap();
    server.pause();
    let start = Instant::now();
    // Longer than the deadline of a round trip, so that a renewal fails.
    eventually("a few seconds passed", LATE, async || {
        assert!(guard.lease().is_held());
        start.elapsed() > Duration::from_secs(3)
    })
    .await;
    server.resume();
    until_renewed(guard.lease()).await;
}

#[tokio::test]
async fn a_waiter_whose_connection_was_cut_gets_the_lock_when_it_is_released() {
    let server = RedisServer::start();
    let proxy = Proxy::to(&server);
    let direct = LockManager::connect(&server.url()).await.unwrap();
    let manager = LockManager::connect(&proxy.url()).await.unwrap();
    let guard = direct.lock("job").ttl(LONG).acquire().await.unwrap();
    let waiting = tokio::spawn(async move { manager.lock("job").ttl(LONG).wait(LONG).acquire().await });
    eventually("the waiter asked", LATE, async || proxy.requests_with("lock:job") > 0).await;
    proxy.cut();
    guard.release().await.unwrap();
    drop(within(SOON, "the waiter", waiting).await.unwrap().unwrap());
}

#[tokio::test]
async fn a_waiter_whose_subscription_was_killed_gets_the_lock_when_it_is_released() {
    let (server, manager) = redis().await;
    let guard = manager.lock("job").ttl(LONG).acquire().await.unwrap();
    let another = LockManager::connect(&server.url()).await.unwrap();
    let waiting = tokio::spawn(async move { another.lock("job").ttl(LONG).wait(LONG).acquire().await });
    let clients = || server.cli(&["CLIENT", "LIST", "TYPE", "pubsub"]);
    let subscribed = tokio::time::timeout(SOON, async {
        while clients().is_empty() {
            tokio::task::yield_now().await;
        }
    });
    if subscribed.await.is_ok() {
        server.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    } else {
        println!("waiters do not subscribe; nothing to kill");
    }
    guard.release().await.unwrap();
    drop(within(SOON, "the waiter", waiting).await.unwrap().unwrap());
}

#[tokio::test]
async fn a_waiter_gets_the_lock_that_a_restart_freed() {
    let (mut server, manager) = redis().await;
    let _guard = manager.lock("job").ttl(LONG).acquire().await.unwrap();
    let another = LockManager::connect(&server.url()).await.unwrap();
    let waiting = tokio::spawn(async move { another.lock("job").ttl(LONG).wait(LONG).acquire().await });
    server.restart();
    match within(LATE, "the waiter", waiting).await.unwrap() {
        Ok(_guard) => {}
        // It may have met the server while it was down.
        Err(error) => assert!(error.is_unavailable(), "{error:?}"),
    }
}

/// Waits for the lock "job" with re-checks so rare that only a wake-up can be meant.
fn waits_for_a_wake_up(manager: LockManager) -> tokio::task::JoinHandle<Result<LockGuard, LockError>> {
    let (min, max) = (Duration::from_secs(50), Duration::from_secs(55));
    let request = manager.lock("job").ttl(LONG).wait(LONG).backoff(min, max);
    tokio::spawn(request.acquire())
}

#[tokio::test]
async fn a_waiter_with_rare_rechecks_whose_command_connection_broke_gets_the_lock_when_it_is_released() {
    let (server, manager) = redis().await;
    server.cli(&["ACL", "SETUSER", "waiter", "on", "nopass", "~*", "&*", "+@all"]);
    let another = LockManager::connect(server.url_with("waiter:any@", "")).await.unwrap();
    let guard = manager.lock("job").ttl(LONG).acquire().await.unwrap();
    let waiting = waits_for_a_wake_up(another);
    until_subscribed(&server, "job").await;
    let killed = server.cli(&["CLIENT", "KILL", "USER", "waiter", "TYPE", "normal"]);
    assert_eq!(killed, "1", "one connection is for commands");
    guard.release().await.unwrap();
    drop(within(ANSWER, "the waiter", waiting).await.unwrap().unwrap());
}

#[tokio::test]
async fn a_waiter_with_rare_rechecks_whose_connections_broke_gets_the_lock_that_was_released_meanwhile() {
    let server = RedisServer::start();
    let proxy = Proxy::to(&server);
    let direct = LockManager::connect(server.url()).await.unwrap();
    let guard = direct.lock("job").ttl(LONG).acquire().await.unwrap();
    let waiting = waits_for_a_wake_up(LockManager::connect(proxy.url()).await.unwrap());
    until_subscribed(&server, "job").await;
    proxy.refuse(true);
    proxy.cut();
    guard.release().await.unwrap();
    // Nobody heard that. It is found out when the subscription is back.
    proxy.refuse(false);
    drop(within(ANSWER * 2, "the waiter", waiting).await.unwrap().unwrap());
}
