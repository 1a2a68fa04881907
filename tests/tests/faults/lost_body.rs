//! What becomes of a body whose server fails: aborted, compensated or continued, on time.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lock_runtime::{Fence, LockError, LockManager, LostReason, current, distributed_lock};
use lock_tests::RedisServer;

use crate::support::{CountsItsDrop, LATE, SOON, redis, within};

/// Of the functions here.
const TTL: Duration = Duration::from_secs(2);

/// How a call ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Finished,
    Compensated(LostReason),
}

/// Ends after the ttl, if anybody polls it then.
async fn longer_than_the_ttl(server: &RedisServer) {
    server.pause();
    let start = Instant::now();
    while start.elapsed() < TTL * 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[distributed_lock(key = "job", ttl = "2s", manager = locks)]
async fn aborted(locks: &LockManager, server: &RedisServer, drops: &AtomicUsize) -> Result<End, LockError> {
    let _dropped = CountsItsDrop(drops);
    longer_than_the_ttl(server).await;
    Ok(End::Finished)
}

#[distributed_lock(key = "job", ttl = "2s", manager = locks, on_lost = "continue")]
async fn continued(locks: &LockManager, server: &RedisServer) -> Result<(End, bool), LockError> {
    longer_than_the_ttl(server).await;
    let held = current().expect("inside a body").is_held();
    Ok((End::Finished, held))
}

#[distributed_lock(key = "job", ttl = "2s", manager = locks, compensate = undo(drops, &reason))]
async fn compensated(locks: &LockManager, server: &RedisServer, drops: &AtomicUsize) -> Result<End, LockError> {
    let _dropped = CountsItsDrop(drops);
    longer_than_the_ttl(server).await;
    Ok(End::Finished)
}

/// Runs after the body was dropped, and without the lock.
async fn undo(drops: &AtomicUsize, reason: &LostReason) -> Result<End, LockError> {
    assert_eq!(drops.load(Ordering::SeqCst), 1, "the body is not dropped");
    assert!(current().is_none(), "a compensation has no lock");
    Ok(End::Compensated(*reason))
}

#[tokio::test]
async fn a_body_is_aborted_while_the_server_hangs() {
    let (server, manager) = redis().await;
    let drops = AtomicUsize::new(0);
    let call = aborted(&manager, &server, &drops);
    let error = within(TTL + SOON, "the call", call).await.unwrap_err();
    assert_eq!(error.lost_reason(), Some(LostReason::Expired));
    assert_eq!(drops.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_compensation_runs_while_the_server_hangs() {
    let (server, manager) = redis().await;
    let drops = AtomicUsize::new(0);
    let call = compensated(&manager, &server, &drops);
    let end = within(TTL + SOON, "the call", call).await.unwrap();
    assert_eq!(end, End::Compensated(LostReason::Expired));
}

#[tokio::test]
async fn a_body_that_continues_knows_of_its_loss_while_the_server_hangs() {
    let (server, manager) = redis().await;
    let call = continued(&manager, &server);
    let (end, held) = within(TTL * 2 + SOON, "the call", call).await.unwrap();
    assert_eq!(end, End::Finished);
    assert!(!held, "its ttl is over");
}

#[tokio::test]
async fn a_body_that_was_lost_is_not_polled_again() {
    let (server, manager) = redis().await;
    let last_poll = Mutex::new(Instant::now());
    let acquired = Mutex::new(Instant::now());
    let run = manager.lock("job").ttl(TTL).run(async {
        *acquired.lock().unwrap() = Instant::now();
        server.pause();
        loop {
            *last_poll.lock().unwrap() = Instant::now();
            tokio::task::yield_now().await;
        }
    });
    // A body that is ready all the time must not keep the loss from being seen either.
    let lost: Result<(), LockError> = within(TTL + SOON, "the call", run).await;
    assert!(lost.unwrap_err().is_lost());
    let polled_for = *last_poll.lock().unwrap() - *acquired.lock().unwrap();
    assert!(
        polled_for <= TTL,
        "polled {polled_for:?} after it acquired, ttl {TTL:?}"
    );
}

#[tokio::test]
async fn the_holder_after_a_flush_has_a_newer_fence_than_the_one_who_lost() {
    let (server, manager) = redis().await;
    let lost = manager.lock("job").acquire().await.unwrap();
    server.cli(&["FLUSHALL"]);
    let another = LockManager::connect(&server.url()).await.unwrap();
    let next = another.lock("job").acquire().await.unwrap();
    assert!(next.fence() > lost.fence());
}

#[tokio::test]
async fn a_resource_that_checks_fences_stops_who_lost_and_does_not_know() {
    let (server, manager) = redis().await;
    let mut resource = Fence::from(0);
    let mut write = |fence: Fence| {
        let newer = fence >= resource;
        resource = resource.max(fence);
        newer
    };
    let sleeper = manager.lock("job").acquire().await.unwrap();
    assert!(write(sleeper.fence()));
    server.cli(&["DEL", "lock:job"]);
    let next = within(LATE, "the next holder", manager.lock("job").acquire())
        .await
        .unwrap();
    assert!(write(next.fence()));
    assert!(!write(sleeper.fence()), "the one who lost gets through");
}
