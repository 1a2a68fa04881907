//! Fences only grow, whatever happens to the server's data.

use lock_runtime::{Fence, LockManager};
use lock_tests::RedisServer;

use crate::support::redis;

async fn next(manager: &LockManager) -> Fence {
    let guard = manager.lock("job").acquire().await.unwrap();
    let fence = guard.fence();
    guard.release().await.unwrap();
    fence
}

/// Holds the lock, lets `fault` happen, holds it again: by the same manager, and by a new one.
async fn fences_grow_across(mut fault: impl FnMut(&mut RedisServer)) {
    let (mut server, manager) = redis().await;
    let mut last = next(&manager).await;
    for _ in 0..5 {
        fault(&mut server);
        let fence = next(&manager).await;
        assert!(fence > last, "{fence} after {last}");
        fault(&mut server);
        let another = LockManager::connect(&server.url()).await.unwrap();
        last = next(&another).await;
        assert!(last > fence, "{last} after {fence}");
    }
}

#[tokio::test]
async fn fences_grow_from_holder_to_holder() {
    fences_grow_across(|_| {}).await;
}

#[tokio::test]
async fn fences_grow_across_flushall() {
    fences_grow_across(|server| {
        server.cli(&["FLUSHALL"]);
    })
    .await;
}

#[tokio::test]
async fn fences_grow_across_script_flush() {
    fences_grow_across(|server| {
        server.cli(&["SCRIPT", "FLUSH"]);
    })
    .await;
}

#[tokio::test]
async fn fences_grow_across_a_restart_without_persistence() {
    fences_grow_across(RedisServer::restart).await;
}

#[tokio::test]
async fn fences_grow_across_a_failover_to_an_empty_server() {
    // The second server knows nothing of the first: a replica that nothing had reached.
    let (first, second) = (RedisServer::start(), RedisServer::start());
    let mut last = Fence::from(0);
    for _ in 0..3 {
        for server in [&first, &second] {
            let manager = LockManager::connect(&server.url()).await.unwrap();
            let fence = next(&manager).await;
            assert!(fence > last, "{fence} after {last}");
            last = fence;
        }
    }
}

#[tokio::test]
async fn fences_grow_faster_than_a_lost_counter_can_fall_back() {
    // Many holds in little time, then the counter is lost: the clock must not be behind them.
    let (server, manager) = redis().await;
    let mut last = Fence::from(0);
    for _ in 0..2000 {
        last = next(&manager).await;
    }
    server.cli(&["FLUSHALL"]);
    let fence = next(&manager).await;
    assert!(fence > last, "{fence} after {last}");
}

#[tokio::test]
async fn a_fence_is_not_changed_by_a_renewal() {
    let (server, manager) = redis().await;
    let ttl = std::time::Duration::from_secs(10);
    let request = manager
        .lock("job")
        .ttl(ttl)
        .renew_every(std::time::Duration::from_millis(100));
    let guard = request.acquire().await.unwrap();
    let fence = guard.fence();
    server.cli(&["PEXPIRE", "lock:job", "5000"]);
    lock_tests::eventually("the lock is renewed", crate::support::LATE, async || {
        server
            .ttl("lock:job")
            .is_some_and(|ttl| ttl > std::time::Duration::from_secs(6))
    })
    .await;
    assert_eq!(guard.fence(), fence);
    assert_eq!(guard.lease().fence(), fence);
}
