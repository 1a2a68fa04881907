//! What comes late: a request that arrives when its caller has long gone on, a shutdown that
//! overtakes an attempt, an address that leads elsewhere by now.

use std::pin::pin;
use std::time::Duration;

use lock_runtime::{LockError, LockGuard, LockManager};
use lock_tests::{RedisServer, eventually};

use crate::support::{ANSWER, LATE, LONG, SOON, behind_proxy, read_only, until_renewed, wakeup_channel, within};

/// Moves with every acquire that the server carries out.
fn last_fence(server: &RedisServer) -> Option<String> {
    server.get("distributed-lock:fence")
}

/// The request of the first attempt is held back; the second one, on another connection, is granted;
/// `end` ends that hold; then the first request arrives.
async fn the_first_attempt_arrives_after(end: impl AsyncFnOnce(&RedisServer, LockGuard)) {
    let (server, proxy, manager) = behind_proxy().await;
    proxy.hold_back();
    let request = manager.lock("job").ttl(Duration::from_secs(30));
    let acquire = request.renew_every(Duration::from_millis(200)).acquire();
    let guard = within(LATE, "the second attempt", acquire).await.unwrap();
    assert!(
        proxy.requests_with("lock:job") >= 2,
        "the first attempt was not held back"
    );
    end(&server, guard).await;
    eventually("the lock is free", SOON, async || !server.exists("lock:job")).await;
    let before = last_fence(&server);
    proxy.let_through();
    eventually("the late request is carried out", LATE, async || {
        last_fence(&server) != before
    })
    .await;
    eventually("the late lock is gone again", ANSWER, async || {
        !server.exists("lock:job")
    })
    .await;
}

#[tokio::test]
async fn an_acquire_that_arrives_after_the_release_leaves_no_lock_behind() {
    the_first_attempt_arrives_after(async |_, guard| guard.release().await.unwrap()).await;
}

#[tokio::test]
async fn an_acquire_that_arrives_after_the_drop_of_the_guard_leaves_no_lock_behind() {
    the_first_attempt_arrives_after(async |_, guard| drop(guard)).await;
}

#[tokio::test]
async fn an_acquire_that_arrives_after_the_loss_of_its_hold_leaves_no_lock_behind() {
    the_first_attempt_arrives_after(async |server, guard| {
        server.cli(&["DEL", "lock:job"]);
        within(LATE, "the loss", guard.lease().lost()).await;
        drop(guard);
    })
    .await;
}

#[tokio::test]
async fn an_acquire_that_arrives_when_its_caller_has_given_up_leaves_no_lock_behind() {
    let (server, proxy, manager) = behind_proxy().await;
    let (connections, before) = (proxy.connections(), last_fence(&server));
    proxy.hold_back();
    let acquire = manager.lock("job").ttl(LONG).acquire();
    tokio::select! {
        _ = acquire => panic!("nothing passes"),
        () = eventually("the request is on its way", LATE, async || proxy.requests_with("lock:job") == 1) => {}
    }
    // The clearing up cannot pass either, so it takes another connection.
    eventually("it is cleared up on another connection", LATE, async || {
        proxy.connections() > connections && proxy.requests_with("lock:job") >= 2
    })
    .await;
    proxy.let_through();
    eventually("the late request is carried out", LATE, async || {
        last_fence(&server) != before
    })
    .await;
    eventually("the late lock is gone again", ANSWER, async || {
        !server.exists("lock:job")
    })
    .await;
}

/// Shuts the manager down while its acquire is on its way to a server that is slow by 0.7 s. Gives
/// the server, and what the caller of the acquire got.
async fn a_shutdown_overtakes_an_acquire() -> (RedisServer, Result<(), LockError>) {
    /// Longer than a shutdown without grace waits for bodies, shorter than it waits for releases.
    const SLOW: Duration = Duration::from_millis(700);
    let (server, proxy, manager) = behind_proxy().await;
    let before = last_fence(&server);
    server.pause();
    let acquire = manager.lock("job").ttl(LONG).acquire();
    let acquiring = tokio::spawn(async move { acquire.await.map(drop) });
    eventually("the request is on its way", LATE, async || {
        proxy.requests_with("lock:job") == 1
    })
    .await;
    let mut shutdown = pin!(manager.shutdown(Duration::ZERO));
    let early = tokio::time::timeout(SLOW, shutdown.as_mut()).await;
    server.resume();
    if early.is_err() {
        within(ANSWER, "the shutdown", shutdown).await;
    }
    let acquired = within(ANSWER, "the acquire", acquiring).await.unwrap();
    eventually("the request is carried out", LATE, async || {
        last_fence(&server) != before
    })
    .await;
    (server, acquired)
}

#[tokio::test]
async fn an_acquire_that_a_shutdown_overtakes_leaves_no_lock_behind() {
    let (server, _) = a_shutdown_overtakes_an_acquire().await;
    assert!(
        !server.exists("lock:job"),
        "left behind, with nobody to clear it up before its ttl is over"
    );
}

#[tokio::test]
async fn an_acquire_that_a_shutdown_overtakes_is_told_of_the_shutdown() {
    let (_server, acquired) = a_shutdown_overtakes_an_acquire().await;
    let error = acquired.unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");
    assert!(matches!(error, LockError::ShutDown { .. }), "{error:?}");
}

#[tokio::test]
async fn a_request_that_arrives_while_its_manager_shuts_down_leaves_no_lock_behind() {
    let (server, proxy, manager) = behind_proxy().await;
    proxy.hold_back();
    let guard = within(LATE, "the second attempt", manager.lock("job").ttl(LONG).acquire())
        .await
        .unwrap();
    guard.release().await.unwrap();
    // Two attempts, the release, and the second deletion after it: so the first one was answered.
    eventually("a deletion was answered", LATE, async || {
        proxy.requests_with("lock:job") >= 5
    })
    .await;
    let before = last_fence(&server);
    let mut shutdown = pin!(manager.shutdown(Duration::ZERO));
    let early = tokio::time::timeout(Duration::from_millis(500), shutdown.as_mut()).await;
    proxy.let_through();
    eventually("the late request is carried out", LATE, async || {
        last_fence(&server) != before
    })
    .await;
    assert!(early.is_err(), "the shutdown did not wait for the late request");
    within(ANSWER, "the shutdown", shutdown).await;
    assert!(!server.exists("lock:job"));
}

#[tokio::test]
async fn the_calls_after_the_first_refusal_of_a_read_only_server_reach_its_successor() {
    let (old, proxy, manager) = behind_proxy().await;
    let new = RedisServer::start();
    proxy.lead_to(&new);
    read_only(&old);
    // The one that finds out.
    if let Err(error) = within(ANSWER, "the first call", manager.lock("first").try_acquire()).await {
        assert!(error.is_unavailable(), "{error:?}");
    }
    let guard = within(ANSWER, "the second call", manager.lock("job").try_acquire())
        .await
        .unwrap()
        .unwrap();
    assert!(new.exists("lock:job"));
    guard.release().await.unwrap();
}

#[tokio::test]
async fn a_call_that_waits_finds_the_successor_of_a_read_only_server_by_itself() {
    let (old, proxy, manager) = behind_proxy().await;
    let new = RedisServer::start();
    proxy.lead_to(&new);
    read_only(&old);
    let guard = within(ANSWER, "the call", manager.lock("job").wait(LATE).acquire())
        .await
        .unwrap();
    assert!(new.exists("lock:job"));
    guard.release().await.unwrap();
}

#[tokio::test]
async fn a_forced_release_that_is_sent_again_does_not_take_the_lock_from_the_next_holder() {
    let (server, proxy, operator) = behind_proxy().await;
    let direct = LockManager::connect(server.url()).await.unwrap();
    let first = direct.lock("job").ttl(LONG).acquire().await.unwrap();
    // The server knows every script of a forced release.
    let _another = direct.lock("another").ttl(LONG).acquire().await.unwrap();
    assert!(operator.force_release("another").await.unwrap());
    // What names the channel of those who wait is the release; it is carried out, the operator does
    // not hear of it, and what it sends then is under way for a while.
    let release = wakeup_channel("job");
    proxy.lose_reply_and_freeze(&release);
    let forced = tokio::spawn(async move { operator.force_release("job").await });
    let next = direct.lock("job").ttl(LONG).wait(LATE);
    let next = next.renew_every(Duration::from_millis(100)).acquire().await.unwrap();
    eventually("the release is sent again", LATE, async || {
        proxy.requests_with(&release) == 2
    })
    .await;
    proxy.thaw();
    match within(ANSWER, "the forced release", forced).await.unwrap() {
        Ok(there_was_one) => assert!(there_was_one),
        Err(error) => assert!(error.is_unavailable(), "{error:?}"),
    }
    assert_eq!(proxy.lost_replies(), 1);
    until_renewed(next.lease()).await;
    next.release().await.expect("the next holder's lock is its own");
    drop(first);
}
