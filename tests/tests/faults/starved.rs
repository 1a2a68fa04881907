//! An application that blocks its executor for longer than the ttl keeps its leases.

use std::thread;
use std::time::{Duration, Instant};

use lock_runtime::{LockManager, current};
use lock_tests::RedisServer;
use tokio::runtime::{Builder, Runtime};

/// Short, because the test has to block for longer.
const TTL: Duration = Duration::from_millis(1500);
const BLOCKED: Duration = Duration::from_millis(4000);

/// Every worker of `runtime` stands still for longer than the ttl; the lock's key is there all the
/// time, and the lease is held afterwards.
fn a_lease_is_kept_while_all_workers_are_blocked(runtime: &Runtime, workers: usize) {
    let server = RedisServer::start();
    let guard = runtime.block_on(async {
        let manager = LockManager::connect(&server.url()).await.unwrap();
        manager.lock("job").ttl(TTL).acquire().await.unwrap()
    });
    let start = Instant::now();
    let blocked: Vec<_> = (0..workers)
        .map(|_| runtime.spawn(async { thread::sleep(BLOCKED) }))
        .collect();
    while start.elapsed() < BLOCKED {
        assert!(server.exists("lock:job"), "gone after {:?}", start.elapsed());
        thread::sleep(Duration::from_millis(20));
    }
    for task in blocked {
        runtime.block_on(task).unwrap();
    }
    guard.lease().ensure_held().unwrap();
}

#[test]
fn a_lease_is_kept_while_all_workers_of_the_runtime_are_blocked() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    a_lease_is_kept_while_all_workers_are_blocked(&runtime, 2);
}

#[test]
fn a_body_that_blocks_its_thread_for_longer_than_the_ttl_keeps_its_lease() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let server = RedisServer::start();
    runtime.block_on(async {
        let manager = LockManager::connect(&server.url()).await.unwrap();
        let body = async {
            thread::sleep(BLOCKED);
            assert!(server.exists("lock:job"));
            current().expect("inside a body").is_held()
        };
        assert!(manager.lock("job").ttl(TTL).run(body).await.unwrap());
    });
}

#[test]
fn a_body_in_process_that_blocks_its_thread_for_longer_than_the_ttl_keeps_its_lease() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let manager = LockManager::in_memory();
        let body = async {
            thread::sleep(BLOCKED);
            current().expect("inside a body").is_held()
        };
        assert!(manager.lock("job").ttl(TTL).run(body).await.unwrap());
    });
}
