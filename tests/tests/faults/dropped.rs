//! A guard dropped anywhere, a body that panics: released within milliseconds.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use lock_runtime::{LockError, LockManager, distributed_lock};
use lock_tests::server::until_gone;
use lock_tests::{Fixture, RedisServer, each_backend, eventually, eventually_blocking};
use tokio::runtime::{Builder, Runtime};

use crate::support::{LATE, LONG, SOON, until_renewed};

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

async fn is_free_soon(fixture: &Fixture) {
    eventually("the lock is free", SOON, async || {
        fixture.another_manager().inspect("job").await.unwrap().is_none()
    })
    .await;
}

#[distributed_lock(key = "job", ttl = "10m", manager = locks)]
async fn panics(locks: &LockManager, at_once: bool) -> Result<(), LockError> {
    if !at_once {
        tokio::task::yield_now().await;
    }
    panic!("the body of the test panics on purpose");
}

#[tokio::test]
async fn a_body_that_panics_before_its_first_await_releases() {
    each_backend(async |fixture| {
        let manager = fixture.manager().clone();
        let error = tokio::spawn(async move { panics(&manager, true).await })
            .await
            .unwrap_err();
        assert!(error.is_panic());
        is_free_soon(&fixture).await;
    })
    .await;
}

#[tokio::test]
async fn a_body_that_panics_after_an_await_releases() {
    each_backend(async |fixture| {
        let manager = fixture.manager().clone();
        let error = tokio::spawn(async move { panics(&manager, false).await })
            .await
            .unwrap_err();
        assert!(error.is_panic());
        is_free_soon(&fixture).await;
    })
    .await;
}

#[tokio::test]
async fn a_run_that_panics_releases() {
    each_backend(async |fixture| {
        let manager = fixture.manager().clone();
        let task = tokio::spawn(async move {
            let body = async { panic!("the body of the test panics on purpose") };
            manager
                .lock("job")
                .ttl(LONG)
                .run::<std::pin::Pin<Box<dyn Future<Output = ()> + Send>>>(Box::pin(body))
                .await
        });
        assert!(task.await.unwrap_err().is_panic());
        is_free_soon(&fixture).await;
    })
    .await;
}

#[test]
fn a_panic_that_ends_block_on_releases() {
    let server = RedisServer::start();
    let runtime = current_thread();
    let manager = runtime.block_on(LockManager::connect(&server.url())).unwrap();
    let call = AssertUnwindSafe(|| runtime.block_on(panics(&manager, false)));
    catch_unwind(call).unwrap_err();
    until_gone(&server, "lock:job", SOON);
}

#[test]
fn a_panic_while_a_guard_is_held_releases() {
    let server = RedisServer::start();
    let runtime = current_thread();
    let manager = runtime.block_on(LockManager::connect(&server.url())).unwrap();
    let call = AssertUnwindSafe(|| {
        runtime.block_on(async {
            let _guard = manager.lock("job").ttl(LONG).acquire().await.unwrap();
            panic!("the test panics on purpose");
        });
    });
    catch_unwind(call).unwrap_err();
    until_gone(&server, "lock:job", SOON);
}

#[tokio::test]
async fn a_guard_dropped_in_a_task_releases() {
    each_backend(async |fixture| {
        let guard = fixture.manager().lock("job").ttl(LONG).acquire().await.unwrap();
        tokio::spawn(async move { drop(guard) }).await.unwrap();
        is_free_soon(&fixture).await;
    })
    .await;
}

#[tokio::test]
async fn a_guard_dropped_in_a_plain_thread_releases() {
    each_backend(async |fixture| {
        let guard = fixture.manager().lock("job").ttl(LONG).acquire().await.unwrap();
        std::thread::spawn(move || drop(guard)).join().unwrap();
        is_free_soon(&fixture).await;
    })
    .await;
}

#[test]
fn a_guard_dropped_after_its_runtime_releases() {
    let server = RedisServer::start();
    for url in ["memory://a-guard-dropped-after-its-runtime", &server.url()] {
        for runtime in [current_thread(), Runtime::new().unwrap()] {
            let (manager, guard) = runtime.block_on(async {
                let manager = LockManager::connect(url).await.unwrap();
                let guard = manager.lock("job").ttl(LONG).acquire().await.unwrap();
                (manager, guard)
            });
            drop(runtime);
            drop(guard);
            let holder = || current_thread().block_on(manager.inspect("job")).unwrap();
            eventually_blocking("the lock is free", SOON, || holder().is_none());
        }
    }
}

#[test]
fn a_guard_dropped_at_the_end_of_block_on_releases() {
    let server = RedisServer::start();
    let runtime = current_thread();
    let manager = runtime.block_on(LockManager::connect(&server.url())).unwrap();
    // Nothing is ever polled again on this runtime.
    runtime.block_on(async {
        let _guard = manager.lock("job").ttl(LONG).acquire().await.unwrap();
    });
    until_gone(&server, "lock:job", SOON);
}

#[tokio::test]
async fn a_guard_outlives_its_manager() {
    let server = RedisServer::start();
    let manager = LockManager::connect(&server.url()).await.unwrap();
    let request = manager
        .lock("job")
        .ttl(Duration::from_secs(20))
        .renew_every(Duration::from_millis(200));
    let guard = request.acquire().await.unwrap();
    drop(manager);
    until_renewed(guard.lease()).await;
    drop(guard);
    eventually("the lock is free", SOON, async || !server.exists("lock:job")).await;
}

#[tokio::test]
async fn the_last_manager_dropped_right_after_its_guard_still_releases() {
    let server = RedisServer::start();
    let manager = LockManager::connect(&server.url()).await.unwrap();
    let guard = manager.lock("job").ttl(LONG).acquire().await.unwrap();
    drop(guard);
    drop(manager);
    eventually("the lock is free", SOON, async || !server.exists("lock:job")).await;
}

#[tokio::test]
async fn a_thousand_guards_dropped_at_once_release() {
    let server = RedisServer::start();
    let manager = LockManager::connect(&server.url()).await.unwrap();
    let mut guards = Vec::new();
    for number in 0..1000 {
        guards.push(manager.lock(format!("job:{number}")).ttl(LONG).acquire().await.unwrap());
    }
    drop(guards);
    eventually("all are free", SOON, async || {
        server.cli(&["KEYS", "lock:*"]).is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_shutdown_releases_what_was_dropped_before() {
    let server = RedisServer::start();
    let manager = LockManager::connect(&server.url()).await.unwrap();
    for number in 0..50 {
        drop(manager.lock(format!("job:{number}")).ttl(LONG).acquire().await.unwrap());
    }
    manager.shutdown(LATE).await;
    assert_eq!(server.cli(&["KEYS", "lock:*"]), "");
}
