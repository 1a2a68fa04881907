//! A backend that does not answer is an error, in time, and never a conflict.

use std::sync::atomic::{AtomicUsize, Ordering};

use lock_runtime::LockManager;
use lock_tests::{Proxy, RedisServer, eventually};

use crate::support::{ANSWER, LATE, Policy, WAIT, redis, within};

/// Calls under every policy, at the same time; no body runs, each answers in its time.
async fn is_unavailable_under_every_policy(manager: &LockManager) {
    let call = async |policy: Policy| {
        let runs = AtomicUsize::new(0);
        let what = format!("{policy:?}");
        let result = within(policy.answers_within(), &what, policy.call(manager, &runs)).await;
        let error = result.expect_err("no lease can be known to be held");
        assert!(error.is_unavailable(), "{policy:?}: {error:?}");
        assert!(!error.is_conflict() && !error.is_lost(), "{policy:?}: {error:?}");
        assert_eq!(error.key().map(ToString::to_string).as_deref(), Some(policy.key()));
        assert_eq!(runs.load(Ordering::SeqCst), 0, "{policy:?}: the body ran");
    };
    let [fail, skip, retry] = Policy::ALL;
    tokio::join!(call(fail), call(skip), call(retry));
}

#[tokio::test]
async fn a_killed_server_is_unavailable_in_time_under_every_policy() {
    let (mut server, manager) = redis().await;
    server.kill();
    is_unavailable_under_every_policy(&manager).await;
}

#[tokio::test]
async fn a_killed_server_is_unavailable_in_time_for_later_calls_too() {
    let (mut server, manager) = redis().await;
    server.kill();
    for _ in 0..2 {
        is_unavailable_under_every_policy(&manager).await;
    }
}

#[tokio::test]
async fn a_hung_server_is_unavailable_in_time_under_every_policy() {
    let (server, manager) = redis().await;
    server.pause();
    is_unavailable_under_every_policy(&manager).await;
}

#[tokio::test]
async fn a_hung_server_is_unavailable_in_time_for_later_calls_too() {
    let (server, manager) = redis().await;
    server.pause();
    for _ in 0..2 {
        is_unavailable_under_every_policy(&manager).await;
    }
}

#[tokio::test]
async fn a_network_that_swallows_everything_is_unavailable_in_time_under_every_policy() {
    let server = RedisServer::start();
    let proxy = Proxy::to(&server);
    let manager = LockManager::connect(&proxy.url()).await.unwrap();
    proxy.freeze();
    is_unavailable_under_every_policy(&manager).await;
}

#[tokio::test]
async fn a_server_that_closes_every_connection_is_unavailable_in_time_under_every_policy() {
    let server = RedisServer::start();
    let proxy = Proxy::to(&server);
    let manager = LockManager::connect(&proxy.url()).await.unwrap();
    proxy.refuse(true);
    proxy.cut();
    is_unavailable_under_every_policy(&manager).await;
}

#[tokio::test]
async fn a_server_that_hangs_while_a_call_waits_is_unavailable_at_the_end_of_its_wait() {
    let (server, manager) = redis().await;
    let _held = manager.lock("job").acquire().await.unwrap();
    let proxy = Proxy::to(&server);
    let another = LockManager::connect(&proxy.url()).await.unwrap();
    let waiting = async {
        let waited = another.lock("job").wait(WAIT).acquire();
        within(Policy::Retry.answers_within(), "waiting", waited).await
    };
    let hanging = async {
        // Whatever way it has of waiting, it has asked for the lock by then.
        eventually("it asked", LATE, async || proxy.requests_with("lock:job") > 0).await;
        server.pause();
    };
    let (waited, ()) = tokio::join!(waiting, hanging);
    let error = waited.expect_err("somebody else holds the lock");
    // What it knew last was that the lock is held; what it knows now is that nobody answers.
    assert!(error.is_unavailable() || error.is_conflict(), "{error:?}");
}

#[tokio::test]
async fn asking_who_holds_a_lock_on_a_hung_server_is_answered_in_time() {
    let (server, manager) = redis().await;
    server.pause();
    let error = within(ANSWER, "inspect", manager.inspect("job")).await.unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");
}

#[tokio::test]
async fn forcing_a_release_on_a_hung_server_is_answered_in_time() {
    let (server, manager) = redis().await;
    server.pause();
    let error = within(ANSWER, "force_release", manager.force_release("job"))
        .await
        .unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");
}

#[tokio::test]
async fn releasing_on_a_hung_server_is_answered_in_time() {
    let (server, manager) = redis().await;
    let guard = manager.lock("job").acquire().await.unwrap();
    server.pause();
    // An error or not (it goes on in the background), but not a call that hangs with the server.
    let _ = within(ANSWER, "release", guard.release()).await;
}

#[tokio::test]
async fn a_body_that_ends_while_the_server_hangs_keeps_its_result() {
    let (server, manager) = redis().await;
    let run = manager.lock("job").run(async {
        server.pause();
        42
    });
    assert_eq!(within(ANSWER, "run", run).await.unwrap(), 42);
}

#[tokio::test]
async fn a_hundred_callers_of_a_hung_server_are_all_answered_in_time() {
    let (server, manager) = redis().await;
    server.pause();
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..100 {
        let manager = manager.clone();
        calls.spawn(async move {
            let call = manager.lock(format!("job:{number}")).try_acquire();
            within(ANSWER, "one of a hundred", call).await.unwrap_err()
        });
    }
    while let Some(error) = calls.join_next().await {
        assert!(error.unwrap().is_unavailable());
    }
}

#[tokio::test]
async fn a_shutdown_returns_although_the_server_hangs() {
    let (server, manager) = redis().await;
    let _guard = manager.lock("job").acquire().await.unwrap();
    server.pause();
    let grace = std::time::Duration::from_millis(100);
    within(grace + ANSWER, "shutdown", manager.shutdown(grace)).await;
}
