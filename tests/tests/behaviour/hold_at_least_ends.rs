//! `hold_at_least` ends when it should: where there is no runtime or no timer, and whatever a renewal
//! does in the same moment.

use std::time::{Duration, Instant};

use lock_runtime::LockManager;
use lock_tests::{Fixture, each_backend, eventually};

use crate::support::{SOON, ms, runtime, soon};

/// Far below [`TTL`], so that neither is taken for the other.
const LEAST: Duration = Duration::from_secs(60);
const TTL: Duration = Duration::from_secs(600);

/// How much longer the lock stays taken; zero when it is free.
async fn rest(manager: &LockManager, key: &str) -> Duration {
    let holder = manager.inspect(key).await.unwrap();
    holder.map_or(Duration::ZERO, |holder| holder.remaining())
}

/// Waits until the lock stays taken for the rest of [`LEAST`], and no longer.
async fn taken_for_the_rest_only(manager: &LockManager, key: &str) {
    let what = format!("the lock {key} stays taken for the rest of hold_at_least only");
    eventually(&what, SOON, async || {
        let rest = rest(manager, key).await;
        assert!(!rest.is_zero(), "the lock {key} is free before its time");
        rest <= LEAST
    })
    .await;
}

#[tokio::test]
async fn a_guard_dropped_in_a_plain_thread_keeps_the_lock_for_the_rest() {
    each_backend(async |fixture: Fixture| {
        let request = fixture.manager().lock("job").ttl(TTL).hold_at_least(LEAST);
        let guard = request.acquire().await.unwrap();
        let dropped = std::thread::spawn(move || drop(guard)).join();
        assert!(dropped.is_ok(), "the drop panicked");
        taken_for_the_rest_only(fixture.another_manager(), "job").await;
    })
    .await;
}

#[test]
fn a_guard_that_outlives_its_runtime_keeps_the_lock_for_the_rest() {
    let locks = LockManager::in_memory();
    let request = locks.lock("job").ttl(TTL).hold_at_least(LEAST);
    let guard = runtime().block_on(request.acquire()).unwrap();
    drop(guard);
    runtime().block_on(taken_for_the_rest_only(&locks, "job"));
}

#[tokio::test]
async fn a_run_on_a_runtime_without_timers_keeps_the_lock_for_the_rest() {
    each_backend(async |fixture: Fixture| {
        let request = fixture.manager().lock("job").ttl(TTL).hold_at_least(LEAST);
        let bare = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(request.run(async { 1 }))
        };
        let output = soon("the body ends", tokio::task::spawn_blocking(bare)).await;
        assert_eq!(output.expect("it panicked").unwrap(), 1);
        taken_for_the_rest_only(fixture.another_manager(), "job").await;
    })
    .await;
}

#[tokio::test]
async fn no_renewal_in_the_moment_of_a_release_keeps_the_lock_for_longer() {
    const ROUNDS: u64 = 200;
    const HOLDS: u32 = 50;
    let locks = LockManager::in_memory();
    for round in 0..ROUNDS {
        let name = |hold: u32| format!("job:{round}:{hold}");
        let mut guards = Vec::new();
        for hold in 0..HOLDS {
            let request = locks.lock(name(hold)).ttl(TTL).hold_at_least(LEAST);
            guards.push(request.renew_every(ms(1)).acquire().await.unwrap());
        }
        // All are renewed together, every other millisecond; in each round they are released at another
        // moment of that.
        let (until, begun) = (Duration::from_micros(2000 + round * 100 % 2000), Instant::now());
        while begun.elapsed() < until {
            tokio::task::yield_now().await;
        }
        for guard in guards {
            guard.release().await.unwrap();
        }
        for hold in 0..HOLDS {
            taken_for_the_rest_only(&locks, &name(hold)).await;
        }
    }
}
