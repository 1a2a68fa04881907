//! A network with 50 ms of latency.

use std::time::{Duration, Instant};

use lock_runtime::LockManager;
use lock_tests::{Proxy, RedisServer};

use crate::support::{LATE, LONG, until_renewed};

async fn far_away() -> (RedisServer, Proxy, LockManager) {
    let server = RedisServer::start();
    let proxy = Proxy::to(&server);
    proxy.delay(Duration::from_millis(50));
    let manager = LockManager::connect(&proxy.url()).await.unwrap();
    // A busy machine may take its time for the first answers: the waiting is what `run` does by itself.
    manager.lock("warm-up").run(async {}).await.unwrap();
    (server, proxy, manager)
}

#[tokio::test]
async fn an_acquire_is_one_round_trip() {
    let (_server, proxy, manager) = far_away().await;
    let _guard = manager.lock("job").ttl(LONG).acquire().await.unwrap();
    assert_eq!(proxy.requests_with("lock:job"), 1);
}

#[tokio::test]
async fn a_release_is_one_round_trip() {
    let (_server, proxy, manager) = far_away().await;
    let guard = manager.lock("job").ttl(LONG).acquire().await.unwrap();
    guard.release().await.unwrap();
    assert_eq!(proxy.requests_with("lock:job"), 2, "an acquire and a release");
}

#[tokio::test]
async fn an_uncontended_call_sends_nothing_but_an_acquire_and_a_release() {
    let (_server, proxy, manager) = far_away().await;
    let before = proxy.requests_with("");
    manager.lock("job").ttl(LONG).run(async {}).await.unwrap();
    assert_eq!(proxy.requests_with("") - before, 2);
}

#[tokio::test]
async fn a_lease_is_renewed() {
    let (_server, _proxy, manager) = far_away().await;
    let request = manager
        .lock("job")
        .ttl(Duration::from_secs(10))
        .renew_every(Duration::from_millis(200));
    let guard = request.acquire().await.unwrap();
    until_renewed(guard.lease()).await;
}

#[tokio::test]
async fn a_lease_is_counted_from_before_the_request() {
    let (server, proxy, manager) = far_away().await;
    let delay = Duration::from_millis(300);
    proxy.delay(delay);
    let ttl = Duration::from_secs(10);
    let before = Instant::now();
    let guard = manager.lock("job").ttl(ttl).acquire().await.unwrap();
    // The reply was late, the lease began before; the drift (ttl / 100 + 2 ms) goes off as well.
    assert!(before.elapsed() >= delay);
    let ours = guard.lease().remaining();
    let counted = ttl - delay - Duration::from_millis(102);
    assert!(
        ours <= counted,
        "the lease claims {ours:?}, it has no more than {counted:?}"
    );
    let theirs = server.ttl("lock:job").unwrap();
    assert!(ours < theirs, "the lease claims {ours:?}, the key has {theirs:?}");
}

#[tokio::test]
async fn a_waiter_gets_the_lock() {
    let (_server, _proxy, manager) = far_away().await;
    let guard = manager.lock("job").ttl(LONG).acquire().await.unwrap();
    let waiting = tokio::spawn({
        let manager = manager.clone();
        async move { manager.lock("job").wait(LATE).acquire().await }
    });
    guard.release().await.unwrap();
    drop(waiting.await.unwrap().unwrap());
}
