//! Section 8: a manager works from every runtime, from several at once, and from none.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Instant;

use lock_runtime::{Fence, LockError, LockManager, LostReason, distributed_lock};
use lock_tests::{Fixture, each_backend, eventually_blocking};

use crate::support::{SOON, free_soon, held, key_here, lease_here, ms, runtime, soon, threaded_runtime};

#[tokio::test]
async fn a_manager_works_from_several_runtimes_at_once() {
    #[distributed_lock(key = "job", on_conflict = "retry", wait = "60s", manager = locks)]
    async fn turn(locks: LockManager) -> Result<Fence, LockError> {
        tokio::time::sleep(ms(2)).await;
        Ok(lease_here().fence())
    }
    each_backend(async |fixture: Fixture| {
        let threads: Vec<_> = [runtime, threaded_runtime, runtime]
            .into_iter()
            .map(|make| {
                let locks = fixture.manager().clone();
                std::thread::spawn(move || {
                    make().block_on(async {
                        let mut fences = Vec::new();
                        for _ in 0..5 {
                            fences.push(turn(locks.clone()).await.unwrap());
                        }
                        fences
                    })
                })
            })
            .collect();
        let all = async {
            while threads.iter().any(|thread| !thread.is_finished()) {
                tokio::time::sleep(ms(5)).await
            }
        };
        tokio::time::timeout(SOON * 4, all)
            .await
            .expect("all runtimes get their turns");
        let fences: std::collections::HashSet<Fence> =
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(fences.len(), 15);
    })
    .await;
}

#[tokio::test]
async fn a_manager_outlives_the_runtime_that_made_it() {
    each_backend(async |fixture: Fixture| {
        let builder = fixture.builder();
        let make = move || runtime().block_on(builder.connect()).unwrap();
        let locks = tokio::task::spawn_blocking(make).await.unwrap();
        let guard = locks
            .lock("job")
            .ttl(ms(3000))
            .renew_every(ms(250))
            .acquire()
            .await
            .unwrap();
        let begun = std::time::Instant::now();
        while begun.elapsed() < ms(3600) {
            assert!(guard.lease().is_held());
            tokio::time::sleep(ms(20)).await;
        }
        guard.release().await.unwrap();
    })
    .await;
}

#[test]
fn a_manager_in_memory_may_be_made_outside_a_runtime() {
    let locks = LockManager::in_memory();
    let key = runtime().block_on(async { locks.lock("job").run(async { key_here() }).await });
    assert_eq!(key.unwrap(), "job");
    let again = threaded_runtime().block_on(async { soon("again", locks.lock("job").run(async { 1 })).await });
    assert_eq!(again.unwrap(), 1);
}

/// Runs a future without any runtime.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let (mut future, mut context) = (pin!(future), Context::from_waker(&waker));
    let begun = Instant::now();
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        assert!(begun.elapsed() < SOON * 2, "the future does not end");
        std::thread::park_timeout(SOON);
    }
}

/// Waits for a holder, holds, is renewed, loses: everything that needs a timer or a connection.
async fn everything(locks: LockManager, others: LockManager) {
    #[distributed_lock(key = "job", ttl = "20s", renew = "50ms", on_conflict = "retry", manager = locks)]
    async fn renewed(locks: &LockManager) -> Result<bool, LockError> {
        let (lease, begun) = (lease_here(), Instant::now());
        let first = lease.remaining();
        // Busy, because there may be no timer here.
        while lease.remaining() <= first - ms(1) || begun.elapsed() < ms(5) {
            assert!(begun.elapsed() < SOON, "no renewal");
            std::thread::yield_now();
        }
        Ok(lease.is_held())
    }
    #[distributed_lock(key = "job", ttl = "300ms", renew = false, manager = locks)]
    async fn expires(locks: &LockManager) -> Result<(), LockError> {
        std::future::pending().await
    }
    let holder = others.lock("job").ttl(ms(300)).never_renew().acquire().await.unwrap();
    assert!(renewed(&locks).await.unwrap());
    drop(holder);
    let error = expires(&locks).await.unwrap_err();
    assert_eq!(error.lost_reason(), Some(LostReason::Expired));
    let refused = async {
        let _held = others.lock("other job").acquire().await.unwrap();
        locks.lock("other job").wait(ms(100)).acquire().await.map(|_| ())
    };
    assert!(refused.await.unwrap_err().is_conflict());
    let guard = locks.lock("job").wait(SOON).acquire().await.unwrap();
    drop(guard);
    locks
        .lock("job")
        .wait(SOON)
        .acquire()
        .await
        .unwrap()
        .release()
        .await
        .unwrap();
}

#[tokio::test]
async fn a_runtime_without_timers_and_sockets_is_enough() {
    each_backend(async |fixture: Fixture| {
        let (locks, others) = (fixture.manager().clone(), fixture.another_manager().clone());
        let bare = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(everything(locks, others));
        };
        tokio::task::spawn_blocking(bare).await.unwrap();
        free_soon(fixture.manager(), "job").await;
    })
    .await;
}

#[tokio::test]
async fn no_runtime_is_enough() {
    each_backend(async |fixture: Fixture| {
        let (locks, others) = (fixture.manager().clone(), fixture.another_manager().clone());
        let thread = std::thread::spawn(move || block_on(everything(locks, others)));
        let ended = tokio::task::spawn_blocking(move || thread.join()).await.unwrap();
        assert!(ended.is_ok(), "it works without a runtime");
        free_soon(fixture.manager(), "job").await;
    })
    .await;
}

#[test]
fn a_manager_that_is_dropped_leaves_no_thread_behind() {
    fn threads() -> usize {
        std::fs::read_dir("/proc/self/task").unwrap().count()
    }
    const TEST: &str = "runtimes::a_manager_that_is_dropped_leaves_no_thread_behind";
    crate::manager::in_its_own_process(TEST, async || {
        each_backend(async |fixture: Fixture| {
            fixture.manager().lock("warm").run(async {}).await.unwrap();
            let before = threads();
            for number in 0..30 {
                let locks = fixture.builder().connect().await.unwrap();
                locks.lock(format!("job:{number}")).run(async {}).await.unwrap();
                drop(locks.lock(format!("job:{number}")).acquire().await.unwrap());
            }
            let few = || threads() <= before + 2;
            eventually_blocking("the threads are gone", SOON, few);
            assert!(!held(fixture.manager(), "job:7").await);
        })
        .await;
    });
}
