//! Tokens, and calls that wait for their turn in this process; on the test's own clock.

use std::collections::HashSet;
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::{Instant, timeout};

use super::*;
use crate::LockManager;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn tokens_are_uuids_of_version_4_and_unique() {
    let tokens: HashSet<Uuid> = (0..10_000).map(|_| token(HoldId::next())).collect();
    assert_eq!(tokens.len(), 10_000);
    assert!(tokens.iter().all(|token| token.get_version_num() == 4));
}

/// A task that waits for the lock `k` and notes its number while it has it.
fn waits(locks: &LockManager, number: usize, seen: &Arc<std::sync::Mutex<Vec<usize>>>) -> tokio::task::JoinHandle<()> {
    let (locks, seen) = (locks.clone(), Arc::clone(seen));
    tokio::spawn(async move {
        let guard = locks.lock("k").wait(SECOND * 60).acquire().await.unwrap();
        seen.lock().unwrap().push(number);
        yield_now().await;
        guard.release().await.unwrap();
    })
}

#[tokio::test(start_paused = true)]
async fn calls_are_served_in_the_order_in_which_they_came_and_those_that_gave_up_are_not() {
    let (locks, seen) = (LockManager::in_memory(), Arc::default());
    let guard = locks.lock("k").acquire().await.unwrap();
    let mut tasks = Vec::new();
    for number in 0..10 {
        tasks.push(waits(&locks, number, &seen));
        yield_now().await;
    }
    tasks.remove(4).abort();
    yield_now().await;
    guard.release().await.unwrap();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*seen.lock().unwrap(), [0, 1, 2, 3, 5, 6, 7, 8, 9]);
    assert_eq!(locks.0.present.counts(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_on_time_and_leaves_no_place_in_the_line() {
    let locks = LockManager::in_memory();
    let guard = locks.lock("k").acquire().await.unwrap();
    let began = Instant::now();
    let error = locks.lock("k").wait(SECOND * 3).acquire().await.unwrap_err();
    assert!(error.is_conflict());
    assert!((SECOND * 3..SECOND * 3 + SECOND / 100).contains(&began.elapsed()));
    assert_eq!(locks.0.present.counts(), (1, 1));
    guard.release().await.unwrap();
    assert!(locks.lock("k").try_acquire().await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_died_is_followed_when_its_time_is_over() {
    let locks = LockManager::in_memory();
    let began = Instant::now();
    std::mem::forget(locks.lock("k").ttl(SECOND).never_renew().acquire().await.unwrap());
    let next = locks.lock("k").wait(SECOND * 60).acquire().await.unwrap();
    assert!((SECOND..SECOND + SECOND / 100).contains(&began.elapsed()));
    next.release().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_every_wait_at_once() {
    let locks = LockManager::in_memory();
    let guard = locks.lock("k").acquire().await.unwrap();
    let waiting: Vec<_> = (0..5)
        .map(|_| tokio::spawn(locks.lock("k").wait(SECOND * 60).acquire()))
        .collect();
    yield_now().await;
    let began = Instant::now();
    let (_, ()) = tokio::join!(
        async {
            for task in waiting {
                let outcome = task.await.unwrap();
                assert!(matches!(outcome, Err(LockError::ShutDown { key: Some(_) })));
            }
            assert_eq!(began.elapsed(), Duration::ZERO);
        },
        locks.shutdown(SECOND)
    );
    drop(guard);
    assert_eq!(locks.0.present.counts(), (0, 0));
}

#[tokio::test]
async fn who_was_given_the_lock_and_gave_up_passes_it_on() {
    let locks = LockManager::in_memory();
    for _ in 0..50 {
        let guard = locks.lock("k").acquire().await.unwrap();
        let mut first = Box::pin(locks.lock("k").acquire());
        let mut second = Box::pin(locks.lock("k").acquire());
        assert!(timeout(Duration::ZERO, &mut first).await.is_err());
        assert!(timeout(Duration::ZERO, &mut second).await.is_err());
        guard.release().await.unwrap();
        // It has the lock, and has not noticed.
        drop(first);
        second.await.unwrap().release().await.unwrap();
    }
}
