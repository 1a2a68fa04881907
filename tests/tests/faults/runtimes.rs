//! A runtime dropped while a body runs, several runtimes on one manager.

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use lock_runtime::{LockError, LockManager};
use lock_tests::server::until_gone;
use lock_tests::{RedisServer, eventually, eventually_blocking};
use tokio::runtime::{Builder, Runtime};

use crate::support::{LATE, LONG, SOON, redis, until_renewed, within};

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn multi_thread() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

/// On each backend: starts a body on a runtime, which never ends, and lets `end` do away with the
/// runtime.
fn a_body_runs_while(runtime: impl Fn() -> Runtime, end: impl Fn(Runtime)) {
    let server = RedisServer::start();
    for manager in [LockManager::in_memory(), connected(&server)] {
        let runtime = runtime();
        let (running, started) = tokio::sync::oneshot::channel();
        let here = manager.clone();
        let task = runtime.spawn(async move {
            let body = async {
                running.send(()).unwrap();
                std::future::pending::<()>().await;
            };
            here.lock("job").ttl(LONG).run(body).await
        });
        runtime.block_on(started).unwrap();
        assert!(is_held(&manager));
        end(runtime);
        eventually_blocking("the lock is free", SOON, || !is_held(&manager));
        drop(task);
    }
}

/// A manager whose runtime is gone.
fn connected(server: &RedisServer) -> LockManager {
    current_thread().block_on(LockManager::connect(&server.url())).unwrap()
}

fn is_held(manager: &LockManager) -> bool {
    current_thread().block_on(manager.inspect("job")).unwrap().is_some()
}

#[test]
fn a_current_thread_runtime_dropped_while_a_body_runs_releases() {
    a_body_runs_while(current_thread, drop);
}

#[test]
fn a_multi_thread_runtime_dropped_while_a_body_runs_releases() {
    a_body_runs_while(multi_thread, drop);
}

#[test]
fn a_runtime_shut_down_in_the_background_while_a_body_runs_releases() {
    a_body_runs_while(multi_thread, Runtime::shutdown_background);
}

#[test]
fn a_runtime_dropped_while_a_call_acquires_leaves_the_lock_free() {
    let server = RedisServer::start();
    let proxy = lock_tests::Proxy::to(&server);
    let runtime = multi_thread();
    let manager = runtime.block_on(LockManager::connect(&proxy.url())).unwrap();
    proxy.delay(Duration::from_millis(100));
    let here = manager.clone();
    runtime.spawn(async move { here.lock("job").ttl(LONG).run(std::future::pending::<()>()).await });
    eventually_blocking("the lock is taken", LATE, || server.exists("lock:job"));
    drop(runtime);
    until_gone(&server, "lock:job", SOON);
    drop(manager);
}

#[test]
fn a_manager_works_when_the_runtime_that_connected_it_is_gone() {
    let server = RedisServer::start();
    let manager = connected(&server);
    current_thread().block_on(async {
        let call = manager.lock("job").run(async { 42 });
        assert_eq!(within(SOON, "the call", call).await.unwrap(), 42);
    });
}

#[test]
fn a_manager_in_process_works_when_the_runtime_that_made_it_is_gone() {
    let manager = current_thread().block_on(async { LockManager::in_memory() });
    current_thread().block_on(async {
        assert_eq!(manager.lock("job").run(async { 42 }).await.unwrap(), 42);
    });
}

#[test]
fn a_manager_in_process_needs_no_runtime_to_be_made() {
    let manager = LockManager::in_memory();
    current_thread().block_on(async {
        assert_eq!(manager.lock("job").run(async { 42 }).await.unwrap(), 42);
    });
}

#[test]
fn a_hundred_runtimes_one_after_the_other_share_a_manager() {
    let server = RedisServer::start();
    let manager = connected(&server);
    for _ in 0..100 {
        current_thread().block_on(manager.lock("job").run(async {})).unwrap();
    }
}

/// Four threads, each with a runtime of its own, add one to a number 25 times, under one lock.
fn four_runtimes_exclude_each_other(manager: &LockManager) {
    let number = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                current_thread().block_on(async {
                    for _ in 0..25 {
                        let body = async {
                            let before = number.load(Ordering::SeqCst);
                            tokio::task::yield_now().await;
                            number.store(before + 1, Ordering::SeqCst);
                        };
                        manager.lock("job").wait(LATE).run(body).await.unwrap();
                    }
                });
            });
        }
    });
    assert_eq!(number.load(Ordering::SeqCst), 100);
}

#[test]
fn runtimes_side_by_side_exclude_each_other_on_redis() {
    let server = RedisServer::start();
    let manager = connected(&server);
    four_runtimes_exclude_each_other(&manager);
}

#[test]
fn runtimes_side_by_side_exclude_each_other_in_process() {
    four_runtimes_exclude_each_other(&LockManager::in_memory());
}

#[test]
fn a_waiter_on_one_runtime_is_woken_by_a_release_on_another() {
    let server = RedisServer::start();
    let manager = connected(&server);
    let guard = current_thread()
        .block_on(manager.lock("job").ttl(LONG).acquire())
        .unwrap();
    let (started, waits) = mpsc::channel();
    let waiter = std::thread::spawn(move || {
        current_thread().block_on(async {
            started.send(()).unwrap();
            manager.lock("job").ttl(LONG).wait(LONG).acquire().await.map(drop)
        })
    });
    waits.recv().unwrap();
    current_thread().block_on(guard.release()).unwrap();
    eventually_blocking("the waiter got the lock", LATE, || waiter.is_finished());
    waiter.join().unwrap().unwrap();
}

#[test]
fn a_guard_is_renewed_after_its_runtime_is_gone() {
    let server = RedisServer::start();
    let guard = current_thread().block_on(async {
        let manager = LockManager::connect(&server.url()).await.unwrap();
        let request = manager
            .lock("job")
            .ttl(Duration::from_secs(20))
            .renew_every(Duration::from_millis(200));
        request.acquire().await.unwrap()
    });
    current_thread().block_on(until_renewed(guard.lease()));
}

/// The tasks of ours on the caller's runtime, beside `work` itself.
#[test]
fn a_shutdown_gives_bodies_their_time_though_its_caller_s_clock_is_paused() {
    let server = RedisServer::start();
    let manager = connected(&server);
    let guard = current_thread().block_on(manager.lock("job").acquire()).unwrap();
    let shutting_down = manager.clone();
    let shutdown = std::thread::spawn(move || {
        // Whenever nothing else is to do there, this clock jumps to its next timer.
        let paused = Builder::new_current_thread().enable_all().start_paused(true).build();
        paused.unwrap().block_on(shutting_down.shutdown(LONG));
    });
    let closed = || {
        let another = current_thread().block_on(manager.lock("another").try_acquire());
        matches!(another, Err(LockError::ShutDown { .. }))
    };
    eventually_blocking("it has begun", SOON, closed);
    assert!(!shutdown.is_finished());
    current_thread().block_on(guard.release()).unwrap();
    shutdown.join().unwrap();
}

async fn tasks_left_by(work: impl Future<Output = ()>) -> usize {
    let handle = tokio::runtime::Handle::current();
    let before = handle.metrics().num_alive_tasks();
    work.await;
    handle.metrics().num_alive_tasks() - before
}

#[tokio::test]
async fn a_call_leaves_no_task_on_the_callers_runtime() {
    let (_server, manager) = redis().await;
    assert_eq!(
        tasks_left_by(async { manager.lock("job").run(async {}).await.unwrap() }).await,
        0
    );
}

#[tokio::test]
async fn managers_that_are_dropped_close_their_connections() {
    let server = RedisServer::start();
    for _ in 0..20 {
        let manager = LockManager::connect(&server.url()).await.unwrap();
        for _ in 0..2 {
            manager.lock("job").run(async {}).await.unwrap();
        }
    }
    let ours = || {
        server
            .cli(&["CLIENT", "LIST"])
            .lines()
            .filter(|line| line.contains("user=default"))
            .count()
    };
    // Not blocking: those that live on this runtime are closed there.
    eventually("nobody is connected", LATE, async || ours() == 0).await;
}

#[tokio::test]
async fn calls_that_are_over_leave_no_connection_more() {
    let (server, manager) = redis().await;
    let ours = || {
        server
            .cli(&["CLIENT", "LIST"])
            .lines()
            .filter(|line| line.contains("user=default"))
            .count()
    };
    manager.lock("job").run(async {}).await.unwrap();
    let before = ours();
    for number in 0..100 {
        manager.lock(format!("job:{number}")).run(async {}).await.unwrap();
    }
    // One for this runtime, which has called more than once.
    assert!(ours() <= before + 1, "{} connections, before {before}", ours());
}
