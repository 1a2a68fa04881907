//! A server that answers, and refuses: unavailable, never a conflict; renewal and release go on
//! wherever Redis lets them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lock_runtime::{LockError, LockGuard, LockManager, LostReason};
use lock_tests::{RedisServer, eventually, eventually_blocking};

use crate::support::{ANSWER, LATE, LONG, Policy, SOON, full, read_only, redis, until_renewed, within};

/// Every policy answers in time with `is_unavailable()`, and no body runs.
async fn refuses_every_policy(manager: &LockManager) {
    let call = async |policy: Policy| {
        let runs = AtomicUsize::new(0);
        let result = within(policy.answers_within(), "the call", policy.call(manager, &runs)).await;
        let error = result.expect_err("the server refuses");
        assert!(error.is_unavailable(), "{policy:?}: {error:?}");
        assert!(!error.is_conflict(), "{policy:?}: {error:?}");
        assert_eq!(runs.load(Ordering::SeqCst), 0, "{policy:?}: the body ran");
    };
    let [fail, skip, retry] = Policy::ALL;
    tokio::join!(call(fail), call(skip), call(retry));
}

async fn allows_every_policy(manager: &LockManager) {
    for policy in Policy::ALL {
        let runs = AtomicUsize::new(0);
        policy.call(manager, &runs).await.unwrap();
        assert_eq!(runs.load(Ordering::SeqCst), 1);
    }
}

fn out_of_memory(server: &RedisServer) {
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    assert!(server.try_cli(&["SET", "a", "b"]).unwrap_err().contains("OOM"));
}

async fn held(manager: &LockManager) -> LockGuard {
    let request = manager
        .lock("job")
        .ttl(Duration::from_secs(10))
        .renew_every(Duration::from_millis(200));
    request.acquire().await.unwrap()
}

#[tokio::test]
async fn a_server_out_of_memory_refuses_under_every_policy() {
    let (server, manager) = redis().await;
    out_of_memory(&server);
    refuses_every_policy(&manager).await;
}

#[tokio::test]
async fn a_server_that_has_memory_again_is_used_again() {
    let (server, manager) = redis().await;
    out_of_memory(&server);
    refuses_every_policy(&manager).await;
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    allows_every_policy(&manager).await;
}

#[tokio::test]
async fn renewals_go_on_when_the_server_is_out_of_memory() {
    let (server, manager) = redis().await;
    let guard = held(&manager).await;
    out_of_memory(&server);
    until_renewed(guard.lease()).await;
    guard.lease().ensure_held().unwrap();
}

#[tokio::test]
async fn renewals_go_on_when_the_server_is_out_of_memory_and_forgot_its_scripts() {
    let (server, manager) = redis().await;
    let guard = held(&manager).await;
    out_of_memory(&server);
    server.cli(&["SCRIPT", "FLUSH"]);
    until_renewed(guard.lease()).await;
}

#[tokio::test]
async fn a_release_works_when_the_server_is_out_of_memory() {
    let (server, manager) = redis().await;
    let guard = manager.lock("job").ttl(LONG).acquire().await.unwrap();
    out_of_memory(&server);
    guard.release().await.unwrap();
    assert!(!server.exists("lock:job"));
}

#[tokio::test]
async fn a_dropped_guard_releases_when_the_server_is_out_of_memory_and_forgot_its_scripts() {
    let (server, manager) = redis().await;
    let guard = manager.lock("job").ttl(LONG).acquire().await.unwrap();
    out_of_memory(&server);
    server.cli(&["SCRIPT", "FLUSH"]);
    drop(guard);
    eventually("the lock is free", SOON, async || !server.exists("lock:job")).await;
}

#[tokio::test]
async fn a_held_lock_is_a_conflict_even_when_the_server_is_out_of_memory_or_unavailable() {
    let (server, manager) = redis().await;
    let _guard = held(&manager).await;
    out_of_memory(&server);
    // Either answer is true: the lock is held, and the server refuses. `Some` is not.
    match within(ANSWER, "try_acquire", manager.lock("job").try_acquire()).await {
        Ok(guard) => assert!(guard.is_none()),
        Err(error) => assert!(error.is_unavailable(), "{error:?}"),
    }
}

#[tokio::test]
async fn a_read_only_replica_refuses_under_every_policy() {
    let (server, manager) = redis().await;
    read_only(&server);
    refuses_every_policy(&manager).await;
}

#[tokio::test]
async fn a_replica_that_became_master_again_is_used_again() {
    let (server, manager) = redis().await;
    read_only(&server);
    refuses_every_policy(&manager).await;
    server.cli(&["REPLICAOF", "NO", "ONE"]);
    allows_every_policy(&manager).await;
}

#[tokio::test]
async fn a_lease_on_a_server_that_became_read_only_is_held_until_its_deadline() {
    let (server, manager) = redis().await;
    let ttl = Duration::from_secs(3);
    let guard = manager
        .lock("job")
        .ttl(ttl)
        .renew_every(Duration::from_millis(200))
        .acquire()
        .await
        .unwrap();
    let acquired = std::time::Instant::now();
    read_only(&server);
    let reason = within(LATE, "the loss", guard.lease().lost()).await;
    assert_eq!(reason, LostReason::Expired);
    assert!(acquired.elapsed() >= ttl / 2, "lost after {:?}", acquired.elapsed());
}

#[tokio::test]
async fn a_replica_without_its_master_that_serves_nothing_refuses_under_every_policy() {
    let (server, manager) = redis().await;
    server.cli(&["CONFIG", "SET", "replica-serve-stale-data", "no"]);
    read_only(&server);
    refuses_every_policy(&manager).await;
}

#[tokio::test]
async fn a_master_with_too_few_replicas_refuses_under_every_policy() {
    let (server, manager) = redis().await;
    server.cli(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    refuses_every_policy(&manager).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_busy_with_a_script_refuses_under_every_policy() {
    let (server, manager) = redis().await;
    server.cli(&["CONFIG", "SET", "busy-reply-threshold", "50"]);
    std::thread::scope(|scope| {
        // Ends when the script is killed.
        scope.spawn(|| server.try_cli(&["EVAL", "while true do end", "0"]));
        eventually_blocking("the server is busy", LATE, || {
            server.try_cli(&["PING"]).is_err_and(|error| error.contains("BUSY"))
        });
        let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(refuses_every_policy(&manager));
            });
        }));
        server.cli(&["SCRIPT", "KILL"]);
        if let Err(panic) = refused {
            std::panic::resume_unwind(panic);
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_still_loading_refuses_under_every_policy() {
    let (server, manager) = redis().await;
    server.cli(&["DEBUG", "POPULATE", "20000", "filler", "1000"]);
    // A millisecond for each key: longer than the test needs, and it answers now and then.
    server.cli(&["CONFIG", "SET", "key-load-delay", "1000"]);
    server.cli(&["CONFIG", "SET", "loading-process-events-interval-bytes", "1024"]);
    std::thread::scope(|scope| {
        scope.spawn(|| server.try_cli(&["DEBUG", "RELOAD"]));
        eventually_blocking("the server is loading", LATE, || {
            server
                .try_cli(&["PING"])
                .is_err_and(|error| error.to_uppercase().contains("LOADING"))
        });
        let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(refuses_every_policy(&manager));
            });
        }));
        server.cli(&["CONFIG", "SET", "key-load-delay", "0"]);
        if let Err(panic) = refused {
            std::panic::resume_unwind(panic);
        }
    });
}

#[tokio::test]
async fn a_key_of_another_type_is_an_error_of_its_own_under_every_policy() {
    let (server, manager) = redis().await;
    for policy in Policy::ALL {
        server.cli(&["RPUSH", &full(policy.key()), "a"]);
        let runs = AtomicUsize::new(0);
        let result = within(policy.answers_within(), "the call", policy.call(&manager, &runs)).await;
        let error = result.unwrap_err();
        assert!(matches!(error, LockError::WrongType { .. }), "{policy:?}: {error:?}");
        assert!(
            !error.is_conflict() && !error.is_unavailable() && !error.is_lost(),
            "{error:?}"
        );
        assert_eq!(error.key().map(ToString::to_string).as_deref(), Some(policy.key()));
        assert_eq!(runs.load(Ordering::SeqCst), 0, "{policy:?}: the body ran");
    }
}

#[tokio::test]
async fn a_key_of_another_type_is_left_alone_under_every_policy() {
    let (server, manager) = redis().await;
    for policy in Policy::ALL {
        server.cli(&["RPUSH", &full(policy.key()), "a"]);
        policy.call(&manager, &AtomicUsize::new(0)).await.unwrap_err();
    }
    // Whatever was still to be done in the background is done.
    manager.shutdown(SOON).await;
    for policy in Policy::ALL {
        let key = full(policy.key());
        assert_eq!(server.cli(&["LRANGE", &key, "0", "-1"]), "a");
        assert_eq!(server.ttl(&key), None, "it has a ttl now");
    }
}

#[tokio::test]
async fn every_type_but_a_string_is_another_type() {
    let (server, manager) = redis().await;
    let others: [&[&str]; 5] = [
        &["RPUSH", "lock:list", "a"],
        &["HSET", "lock:hash", "a", "b"],
        &["SADD", "lock:set", "a"],
        &["ZADD", "lock:zset", "1", "a"],
        &["XADD", "lock:stream", "*", "a", "b"],
    ];
    for command in others {
        server.cli(command);
        let key = command[1].trim_start_matches("lock:");
        let error = manager.lock(key).try_acquire().await.unwrap_err();
        assert!(matches!(error, LockError::WrongType { .. }), "{key}: {error:?}");
    }
}

#[tokio::test]
async fn asking_who_holds_a_key_of_another_type_is_an_error_of_its_own() {
    let (server, manager) = redis().await;
    server.cli(&["RPUSH", "lock:job", "a"]);
    let error = manager.inspect("job").await.unwrap_err();
    assert!(matches!(error, LockError::WrongType { .. }), "{error:?}");
}

#[tokio::test]
async fn forcing_the_release_of_a_key_of_another_type_leaves_it_alone() {
    let (server, manager) = redis().await;
    server.cli(&["RPUSH", "lock:job", "a"]);
    let error = manager.force_release("job").await.unwrap_err();
    assert!(matches!(error, LockError::WrongType { .. }), "{error:?}");
    assert!(server.exists("lock:job"));
}
