//! The in-process backend under tokio's paused clock: every time of a lock is virtual time.
//!
//! A test of a user's code that pauses the clock would otherwise never see a renewal or an expiry. No
//! test here takes any time.

use std::time::Duration;

use lock_runtime::{LockError, LockGuard, LockManager, LostReason, distributed_lock};
use tokio::time::{Instant, advance, sleep};

use crate::support::{drift, held, lease_here};

const HOUR: Duration = Duration::from_secs(3600);
const SECOND: Duration = Duration::from_secs(1);

/// A hold of an hour that nobody renews.
async fn an_hour(locks: &LockManager) -> LockGuard {
    locks.lock("job").ttl(HOUR).never_renew().acquire().await.unwrap()
}

/// How far off a moment of virtual time may be: timers have a resolution of one millisecond, and some
/// stand behind others.
const CLOSE: Duration = SECOND;

fn assert_at(begun: Instant, expected: Duration) {
    let elapsed = begun.elapsed();
    assert!(elapsed >= expected, "only after {elapsed:?}, not {expected:?}");
    assert!(elapsed <= expected + CLOSE, "only after {elapsed:?}, not {expected:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lease_expires_in_virtual_time() {
    let (locks, begun) = (LockManager::in_memory(), Instant::now());
    let guard = an_hour(&locks).await;
    assert_eq!(guard.lease().lost().await, LostReason::Expired);
    assert_at(begun, HOUR - drift(HOUR));
    assert!(!guard.lease().is_held());
}

#[tokio::test(start_paused = true)]
async fn the_remaining_time_follows_the_virtual_clock() {
    let locks = LockManager::in_memory();
    let guard = an_hour(&locks).await;
    let before = guard.lease().remaining();
    advance(HOUR / 2).await;
    assert_eq!(before - guard.lease().remaining(), HOUR / 2);
    assert!(guard.lease().is_held());
    advance(HOUR / 2).await;
    assert!(!guard.lease().is_held());
}

#[tokio::test(start_paused = true)]
async fn the_lock_of_a_holder_that_is_gone_is_free_after_its_ttl() {
    let (locks, begun) = (LockManager::in_memory(), Instant::now());
    let guard = an_hour(&locks).await;
    advance(HOUR - drift(HOUR) - SECOND).await;
    assert!(held(&locks, "job").await);
    assert!(begun.elapsed() < HOUR);
    advance(drift(HOUR) + 2 * SECOND).await;
    assert!(!held(&locks, "job").await);
    drop(guard);
}

#[tokio::test(start_paused = true)]
async fn a_body_of_a_virtual_day_is_renewed_all_the_time() {
    #[distributed_lock(key = "job", ttl = "1m", manager = locks)]
    async fn day(locks: &LockManager) -> Result<bool, LockError> {
        sleep(24 * HOUR).await;
        Ok(lease_here().is_held())
    }
    assert!(day(&LockManager::in_memory()).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn without_renew_a_lease_is_renewed_after_a_third_of_its_ttl() {
    let locks = LockManager::in_memory();
    let guard = locks.lock("job").ttl(Duration::from_secs(30)).acquire().await.unwrap();
    let mut renewals = 0;
    let mut before = guard.lease().remaining();
    for _ in 0..3000 {
        sleep(Duration::from_millis(100)).await;
        let now = guard.lease().remaining();
        renewals += u32::from(now > before);
        before = now;
    }
    // Five minutes are thirty times ten seconds; each may come a little early or late.
    assert!((25..=36).contains(&renewals), "{renewals} renewals");
}

#[tokio::test(start_paused = true)]
async fn renew_says_how_often_in_virtual_time() {
    let locks = LockManager::in_memory();
    let guard = locks
        .lock("job")
        .ttl(HOUR)
        .renew_every(60 * SECOND)
        .acquire()
        .await
        .unwrap();
    let mut lowest = guard.lease().remaining();
    for _ in 0..3600 {
        sleep(SECOND).await;
        lowest = lowest.min(guard.lease().remaining());
    }
    let whole = HOUR - drift(HOUR);
    assert!(lowest > whole - 90 * SECOND, "{lowest:?} of {whole:?} were left");
}

#[tokio::test(start_paused = true)]
async fn a_lost_body_is_dropped_in_virtual_time() {
    #[distributed_lock(key = "job", ttl = "1h", renew = false, manager = locks)]
    async fn long(locks: &LockManager) -> Result<(), LockError> {
        sleep(24 * HOUR).await;
        Ok(())
    }
    let begun = Instant::now();
    let error = long(&LockManager::in_memory()).await.unwrap_err();
    assert_eq!(error.lost_reason(), Some(LostReason::Expired));
    assert_at(begun, HOUR - drift(HOUR));
}

#[tokio::test(start_paused = true)]
async fn max_hold_ends_in_virtual_time() {
    #[distributed_lock(key = "job", ttl = "10s", max_hold = "2h", manager = locks)]
    async fn long(locks: &LockManager) -> Result<(), LockError> {
        sleep(24 * HOUR).await;
        Ok(())
    }
    let begun = Instant::now();
    let error = long(&LockManager::in_memory()).await.unwrap_err();
    assert_eq!(error.lost_reason(), Some(LostReason::MaxHold));
    assert_at(begun, 2 * HOUR);
}

#[tokio::test(start_paused = true)]
async fn wait_ends_in_virtual_time() {
    #[distributed_lock(key = "job", on_conflict = "retry", wait = "30m", manager = locks)]
    async fn patient(locks: &LockManager) -> Result<(), LockError> {
        Ok(())
    }
    let locks = LockManager::in_memory();
    let _held = an_hour(&locks).await;
    let begun = Instant::now();
    assert!(patient(&locks).await.unwrap_err().is_conflict());
    assert_at(begun, HOUR / 2);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_is_woken_by_a_virtual_expiry() {
    #[distributed_lock(key = "job", on_conflict = "retry", wait = "3h", manager = locks)]
    async fn patient(locks: &LockManager) -> Result<(), LockError> {
        Ok(())
    }
    let (locks, begun) = (LockManager::in_memory(), Instant::now());
    let guard = an_hour(&locks).await;
    patient(&locks).await.unwrap();
    assert!(begun.elapsed() >= HOUR - drift(HOUR), "{:?}", begun.elapsed());
    assert!(begun.elapsed() <= HOUR + CLOSE, "{:?}", begun.elapsed());
    drop(guard);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_is_woken_by_a_release_in_virtual_time() {
    #[distributed_lock(key = "job", on_conflict = "retry", wait = "3h", backoff = "2h..2h", manager = locks)]
    async fn patient(locks: &LockManager) -> Result<(), LockError> {
        Ok(())
    }
    let (locks, begun) = (LockManager::in_memory(), Instant::now());
    let guard = an_hour(&locks).await;
    let release = async {
        sleep(HOUR / 2).await;
        guard.release().await.unwrap();
    };
    let (patient, ()) = tokio::join!(patient(&locks), release);
    patient.unwrap();
    assert_at(begun, HOUR / 2);
}

#[tokio::test(start_paused = true)]
async fn hold_at_least_ends_in_virtual_time() {
    #[distributed_lock(key = "job", ttl = "10s", hold_at_least = "1h", manager = locks)]
    async fn short(locks: &LockManager) -> Result<(), LockError> {
        Ok(())
    }
    let (locks, begun) = (LockManager::in_memory(), Instant::now());
    short(&locks).await.unwrap();
    assert!(begun.elapsed() >= HOUR || held(&locks, "job").await);
    let next = locks.lock("job").wait(3 * HOUR).acquire().await.unwrap();
    assert_at(begun, HOUR);
    next.release().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_grace_of_a_shutdown_is_virtual_time() {
    #[distributed_lock(key = "job", ttl = "10s", manager = locks)]
    async fn long(locks: LockManager) -> Result<(), LockError> {
        sleep(24 * HOUR).await;
        Ok(())
    }
    let locks = LockManager::in_memory();
    let call = tokio::spawn(long(locks.clone()));
    sleep(SECOND).await;
    let begun = Instant::now();
    locks.shutdown(HOUR).await;
    assert_at(begun, HOUR);
    let error = call.await.unwrap().unwrap_err();
    assert_eq!(error.lost_reason(), Some(LostReason::Shutdown));
}

#[tokio::test(start_paused = true)]
async fn many_virtual_jobs_take_their_turns() {
    #[distributed_lock(key = "job", ttl = "10s", on_conflict = "retry", wait = "24h", manager = locks)]
    async fn turn(locks: LockManager) -> Result<(), LockError> {
        sleep(60 * SECOND).await;
        Ok(())
    }
    let (locks, begun) = (LockManager::in_memory(), Instant::now());
    let turns: Vec<_> = (0..10).map(|_| tokio::spawn(turn(locks.clone()))).collect();
    for turn in turns {
        turn.await.unwrap().unwrap();
    }
    assert!(begun.elapsed() >= 600 * SECOND, "{:?}", begun.elapsed());
    assert!(begun.elapsed() <= 660 * SECOND, "{:?}", begun.elapsed());
}
