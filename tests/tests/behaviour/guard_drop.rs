//! Section 8: "Drop releases too", wherever the guard is dropped.

use std::time::Duration;

use lock_runtime::{LockGuard, LockManager};
use lock_tests::{Fixture, each_backend};

use crate::support::{free_soon, held, ms, runtime, threaded_runtime};

/// A guard that would keep its lock for far longer than any test waits.
async fn guard(locks: &LockManager) -> LockGuard {
    locks.lock("job").ttl(Duration::from_secs(90)).acquire().await.unwrap()
}

#[tokio::test]
async fn the_drop_of_a_guard_frees_its_lock() {
    each_backend(async |fixture: Fixture| {
        drop(guard(fixture.manager()).await);
        free_soon(fixture.another_manager(), "job").await;
    })
    .await;
}

#[tokio::test]
async fn after_the_drop_of_a_guard_its_lease_is_not_held() {
    each_backend(async |fixture: Fixture| {
        let guard = guard(fixture.manager()).await;
        let lease = guard.lease().clone();
        drop(guard);
        assert!(!lease.is_held());
    })
    .await;
}

#[tokio::test]
async fn the_drop_of_a_guard_in_a_panic_frees_its_lock() {
    each_backend(async |fixture: Fixture| {
        let locks = fixture.manager().clone();
        let task = tokio::spawn(async move {
            let _guard = guard(&locks).await;
            panic!("this task panics because the test wants it to");
        });
        assert!(task.await.unwrap_err().is_panic());
        free_soon(fixture.another_manager(), "job").await;
    })
    .await;
}

#[tokio::test]
async fn the_drop_of_a_guard_in_another_task_frees_its_lock() {
    each_backend(async |fixture: Fixture| {
        let guard = guard(fixture.manager()).await;
        tokio::spawn(async move { drop(guard) }).await.unwrap();
        free_soon(fixture.another_manager(), "job").await;
    })
    .await;
}

#[tokio::test]
async fn the_drop_of_a_guard_on_a_thread_without_a_runtime_frees_its_lock() {
    each_backend(async |fixture: Fixture| {
        let guard = guard(fixture.manager()).await;
        std::thread::spawn(move || drop(guard)).join().unwrap();
        free_soon(fixture.another_manager(), "job").await;
    })
    .await;
}

#[tokio::test]
async fn a_guard_that_outlives_its_runtime_frees_its_lock_when_it_is_dropped() {
    each_backend(async |fixture: Fixture| {
        for make in [runtime, threaded_runtime] {
            let locks = fixture.manager().clone();
            let run = move || {
                let runtime = make();
                let guard = runtime.block_on(guard(&locks));
                drop(runtime);
                guard
            };
            let guard = tokio::task::spawn_blocking(run).await.unwrap();
            assert!(
                held(fixture.another_manager(), "job").await,
                "it is held as long as the guard lives"
            );
            drop(guard);
            free_soon(fixture.another_manager(), "job").await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_guard_that_outlives_its_runtime_is_renewed_all_the_same() {
    each_backend(async |fixture: Fixture| {
        let locks = fixture.manager().clone();
        let run = move || {
            let lock = locks.lock("job").ttl(ms(3000)).renew_every(ms(250));
            runtime().block_on(lock.acquire()).unwrap()
        };
        let guard = tokio::task::spawn_blocking(run).await.unwrap();
        let begun = std::time::Instant::now();
        while begun.elapsed() < ms(3600) {
            assert!(guard.lease().is_held());
            tokio::time::sleep(ms(20)).await;
        }
        guard.release().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_guard_dropped_at_the_end_of_block_on_frees_its_lock() {
    each_backend(async |fixture: Fixture| {
        let locks = fixture.manager().clone();
        let run = move || {
            runtime().block_on(async {
                let _guard = guard(&locks).await;
            });
        };
        tokio::task::spawn_blocking(run).await.unwrap();
        free_soon(fixture.another_manager(), "job").await;
    })
    .await;
}

#[tokio::test]
async fn a_release_that_is_dropped_half_way_frees_the_lock_all_the_same() {
    each_backend(async |fixture: Fixture| {
        for polls in 0..3 {
            let mut release = Box::pin(guard(fixture.manager()).await.release());
            for _ in 0..polls {
                if futures_util::poll!(release.as_mut()).is_ready() {
                    break;
                }
            }
            drop(release);
            free_soon(fixture.another_manager(), "job").await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_acquire_that_is_dropped_half_way_leaves_no_lock_behind() {
    each_backend(async |fixture: Fixture| {
        for polls in 1..=20 {
            let mut acquire = Box::pin(guard(fixture.manager()));
            for _ in 0..polls {
                if futures_util::poll!(acquire.as_mut()).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            drop(acquire);
            free_soon(fixture.another_manager(), "job").await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_lock_is_freed_when_its_guard_outlives_every_handle_of_the_manager() {
    each_backend(async |fixture: Fixture| {
        let locks = fixture.builder().connect().await.unwrap();
        let guard = guard(&locks).await;
        drop(locks);
        assert!(guard.lease().is_held());
        guard.release().await.unwrap();
        assert!(!held(fixture.manager(), "job").await);
    })
    .await;
}

#[tokio::test]
async fn a_dropped_guard_is_freed_when_it_outlives_every_handle_of_the_manager() {
    each_backend(async |fixture: Fixture| {
        let locks = fixture.builder().connect().await.unwrap();
        let guard = guard(&locks).await;
        drop(locks);
        drop(guard);
        free_soon(fixture.manager(), "job").await;
    })
    .await;
}
