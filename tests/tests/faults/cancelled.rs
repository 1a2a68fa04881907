//! A call given up at any of its await points: the lock is free within milliseconds.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lock_runtime::{LockError, LockManager, distributed_lock};
use lock_tests::{Fixture, Proxy, RedisServer, each_backend, eventually};

use crate::support::{CountsItsDrop, LATE, LONG, SOON, polled};

/// More polls than any of the futures here needs.
const MANY: usize = 200;

/// Nobody holds `key`, soon.
async fn is_free_soon(fixture: &Fixture, key: &str) {
    eventually("the lock is free", SOON, async || {
        fixture.another_manager().inspect(key).await.unwrap().is_none()
    })
    .await;
}

/// A body with five await points.
async fn body(runs: &AtomicUsize) {
    let _dropped = CountsItsDrop(runs);
    for _ in 0..4 {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[distributed_lock(key = "job", ttl = "10m", manager = locks)]
async fn annotated(locks: &LockManager, runs: &AtomicUsize) -> Result<(), LockError> {
    body(runs).await;
    Ok(())
}

/// Gives `call` up after 0, 1, 2, … polls, until one gets through. Each time the lock is free soon.
async fn given_up_anywhere<F: Future>(fixture: &Fixture, call: impl Fn() -> F) {
    for polls in 0..MANY {
        let done = polled(polls, call()).await.is_some();
        is_free_soon(fixture, "job").await;
        if done {
            assert!(polls > 0);
            return;
        }
    }
    panic!("the call was not done after {MANY} polls");
}

#[tokio::test]
async fn an_annotated_call_given_up_anywhere_leaves_the_lock_free() {
    each_backend(async |fixture| {
        let runs = AtomicUsize::new(0);
        given_up_anywhere(&fixture, || annotated(fixture.manager(), &runs)).await;
    })
    .await;
}

#[tokio::test]
async fn a_run_given_up_anywhere_leaves_the_lock_free() {
    each_backend(async |fixture| {
        let runs = AtomicUsize::new(0);
        given_up_anywhere(&fixture, || fixture.manager().lock("job").ttl(LONG).run(body(&runs))).await;
    })
    .await;
}

#[tokio::test]
async fn an_acquire_given_up_anywhere_leaves_the_lock_free() {
    each_backend(async |fixture| {
        given_up_anywhere(&fixture, || async {
            drop(fixture.manager().lock("job").ttl(LONG).acquire().await.unwrap());
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_release_given_up_anywhere_leaves_the_lock_free() {
    each_backend(async |fixture| {
        for polls in 0..MANY {
            let guard = fixture.manager().lock("job").ttl(LONG).acquire().await.unwrap();
            let done = polled(polls, guard.release()).await.is_some();
            is_free_soon(&fixture, "job").await;
            if done {
                return;
            }
        }
        panic!("the release was not done after {MANY} polls");
    })
    .await;
}

#[tokio::test]
async fn a_call_given_up_anywhere_over_a_slow_network_leaves_the_lock_free() {
    let server = RedisServer::start();
    let proxy = Proxy::to(&server);
    let manager = LockManager::connect(&proxy.url()).await.unwrap();
    proxy.delay(Duration::from_millis(20));
    let runs = AtomicUsize::new(0);
    for polls in 0..MANY {
        let done = polled(polls, annotated(&manager, &runs)).await.is_some();
        eventually("the lock is free", SOON, async || !server.exists("lock:job")).await;
        if done {
            return;
        }
    }
    panic!("the call was not done after {MANY} polls");
}

#[tokio::test]
async fn a_waiting_call_given_up_anywhere_leaves_the_lock_to_the_others() {
    each_backend(async |fixture| {
        for polls in 0..20 {
            let guard = fixture.another_manager().lock("job").ttl(LONG).acquire().await.unwrap();
            let waiting = fixture.manager().lock("job").ttl(LONG).wait(LONG).acquire();
            let given_up = tokio::time::timeout(Duration::from_millis(100), polled(polls, waiting));
            assert!(!matches!(given_up.await, Ok(Some(_))), "two hold the lock");
            guard.release().await.unwrap();
            is_free_soon(&fixture, "job").await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_waiter_given_up_when_the_lock_comes_free_does_not_keep_it() {
    each_backend(async |fixture| {
        for _ in 0..20 {
            let guard = fixture.another_manager().lock("job").ttl(LONG).acquire().await.unwrap();
            let manager = fixture.manager().clone();
            let waiting = tokio::spawn(async move { manager.lock("job").ttl(LONG).wait(LONG).acquire().await });
            tokio::task::yield_now().await;
            // The release and the end of the waiter race.
            let (released, ()) = tokio::join!(guard.release(), async { waiting.abort() });
            released.unwrap();
            let _ = waiting.await;
            is_free_soon(&fixture, "job").await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_task_aborted_in_its_body_leaves_the_lock_free() {
    each_backend(async |fixture| {
        for point in 0..5 {
            let reached = Arc::new(tokio::sync::Notify::new());
            let manager = fixture.manager().clone();
            let here = Arc::clone(&reached);
            let task = tokio::spawn(async move {
                let body = async {
                    for _ in 0..point {
                        tokio::task::yield_now().await;
                    }
                    here.notify_one();
                    std::future::pending::<()>().await;
                };
                manager.lock("job").ttl(LONG).run(body).await
            });
            reached.notified().await;
            assert!(fixture.manager().inspect("job").await.unwrap().is_some());
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
            is_free_soon(&fixture, "job").await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_aborted_at_any_time_leave_their_locks_free() {
    each_backend(async |fixture| {
        let mut tasks = Vec::new();
        for number in 0..200_u64 {
            let manager = fixture.manager().clone();
            let task = tokio::spawn(async move {
                let runs = AtomicUsize::new(0);
                manager
                    .lock(format!("job:{}", number % 10))
                    .ttl(LONG)
                    .wait(LATE)
                    .run(body(&runs))
                    .await
            });
            let abort = task.abort_handle();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_micros(number * 97 % 5_000)).await;
                abort.abort();
            });
            tasks.push(task);
        }
        for task in tasks {
            let _ = task.await;
        }
        for key in 0..10 {
            is_free_soon(&fixture, &format!("job:{key}")).await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_a_cancelled_body_owns_is_dropped_while_the_lock_is_held() {
    /// Looks for the lock's key when it is dropped.
    struct Looks<'a>(&'a RedisServer, &'a AtomicUsize);
    impl Drop for Looks<'_> {
        fn drop(&mut self) {
            self.1
                .store(if self.0.exists("lock:job") { 1 } else { 2 }, Ordering::SeqCst);
        }
    }
    let fixture = Fixture::redis().await;
    let server = fixture.server().unwrap();
    let seen = AtomicUsize::new(0);
    let call = fixture.manager().lock("job").run(async {
        let _looks = Looks(server, &seen);
        std::future::pending::<()>().await;
    });
    let cancelled = tokio::time::timeout(Duration::from_millis(300), call);
    cancelled.await.unwrap_err();
    assert_eq!(
        seen.load(Ordering::SeqCst),
        1,
        "1: the lock was held, 2: it was not, 0: not dropped"
    );
    is_free_soon(&fixture, "job").await;
}
