//! What the modules share: annotated functions for each policy, bounds, futures that are polled a
//! number of times.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use lock_runtime::{Lease, LockError, LockManager, distributed_lock};
use lock_tests::server::unused_port;
use lock_tests::{Proxy, RedisServer, eventually};

/// "At once", "within milliseconds": with room for a loaded machine.
pub(crate) const SOON: Duration = Duration::from_secs(2);
/// The longest that a call may take when the backend does not answer.
pub(crate) const ANSWER: Duration = Duration::from_secs(5);
/// For what only has to happen some time.
pub(crate) const LATE: Duration = Duration::from_secs(20);
/// A ttl that no test lives to see.
pub(crate) const LONG: Duration = Duration::from_secs(600);
/// The `wait` of [`retrying`].
pub(crate) const WAIT: Duration = Duration::from_secs(2);

/// `key` as it is in Redis, with the default namespace.
pub(crate) fn full(key: &str) -> String {
    format!("lock:{key}")
}

/// A server and a manager on it.
pub(crate) async fn redis() -> (RedisServer, LockManager) {
    let server = RedisServer::start();
    let manager = LockManager::connect(&server.url()).await.unwrap();
    (server, manager)
}

/// A server, a proxy in front of it, and a manager on the proxy that has used its connection.
pub(crate) async fn behind_proxy() -> (RedisServer, Proxy, LockManager) {
    let server = RedisServer::start();
    let proxy = Proxy::to(&server);
    let manager = LockManager::builder()
        .url(proxy.url())
        .owner("ours")
        .connect()
        .await
        .unwrap();
    // Scripts are loaded and connections open, so that the next request is the one meant.
    manager
        .lock("warm-up")
        .acquire()
        .await
        .unwrap()
        .release()
        .await
        .unwrap();
    (server, proxy, manager)
}

/// Makes it a replica of a master that is not there.
pub(crate) fn read_only(server: &RedisServer) {
    server.cli(&["REPLICAOF", "127.0.0.1", &unused_port().to_string()]);
    server.try_cli(&["SET", "a", "b"]).unwrap_err();
}

/// Waits until somebody who waits for `key` listens for its release.
pub(crate) async fn until_subscribed(server: &RedisServer, key: &str) {
    let line = format!("distributed-lock:line:{}", full(key));
    eventually(
        "a waiter stands in line, and has subscribed before that",
        LATE,
        async || server.cli(&["LLEN", &line]) == "1",
    )
    .await;
}

/// The channel of those who wait for `key`.
pub(crate) fn wakeup_channel(key: &str) -> String {
    format!("distributed-lock:free:{}", full(key))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    Fail,
    Skip,
    Retry,
}

impl Policy {
    pub(crate) const ALL: [Policy; 3] = [Policy::Fail, Policy::Skip, Policy::Retry];

    /// The longest that a call may take when the backend does not answer.
    pub(crate) fn answers_within(self) -> Duration {
        match self {
            Policy::Fail | Policy::Skip => ANSWER,
            Policy::Retry => WAIT + Duration::from_secs(1),
        }
    }

    /// Calls an annotated function with this policy; each has a key of its own.
    pub(crate) async fn call(self, locks: &LockManager, runs: &AtomicUsize) -> Result<(), LockError> {
        match self {
            Policy::Fail => failing(locks, runs).await,
            Policy::Skip => skipping(locks, runs).await,
            Policy::Retry => retrying(locks, runs).await,
        }
    }

    /// The key of [`Policy::call`].
    pub(crate) fn key(self) -> &'static str {
        match self {
            Policy::Fail => "failing",
            Policy::Skip => "skipping",
            Policy::Retry => "retrying",
        }
    }
}

#[distributed_lock(key = "failing", manager = locks, ttl = "10m")]
async fn failing(locks: &LockManager, runs: &AtomicUsize) -> Result<(), LockError> {
    runs.fetch_add(1, Ordering::SeqCst);
    Ok(())
}

#[distributed_lock(key = "skipping", manager = locks, ttl = "10m", on_conflict = "skip")]
async fn skipping(locks: &LockManager, runs: &AtomicUsize) -> Result<(), LockError> {
    runs.fetch_add(1, Ordering::SeqCst);
    Ok(())
}

#[distributed_lock(key = "retrying", manager = locks, ttl = "10m", on_conflict = "retry", wait = "2s")]
async fn retrying(locks: &LockManager, runs: &AtomicUsize) -> Result<(), LockError> {
    runs.fetch_add(1, Ordering::SeqCst);
    Ok(())
}

/// Awaits `future`, which must take no longer than `bound`.
pub(crate) async fn within<T>(bound: Duration, what: &str, future: impl Future<Output = T>) -> T {
    let start = Instant::now();
    let output = tokio::time::timeout(bound + LATE, future).await;
    let took = start.elapsed();
    let output = output.unwrap_or_else(|_| panic!("{what}: no answer after {took:?}, not within {bound:?}"));
    assert!(took <= bound, "{what}: took {took:?}, not within {bound:?}");
    output
}

/// Waits until two renewals are confirmed, so that one was sent from now on. Nothing else makes the
/// remaining time longer.
pub(crate) async fn until_renewed(lease: &Lease) {
    let mut last = lease.remaining();
    let mut renewals = 0;
    eventually("two renewals are confirmed", LATE, async || {
        let before = std::mem::replace(&mut last, lease.remaining());
        renewals += u32::from(last > before);
        renewals == 2
    })
    .await;
}

/// Polls `future` whenever it wants to be, `times` times at most, then drops it. `Some`: it was
/// done before.
pub(crate) async fn polled<T>(times: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut polls = 0;
    std::future::poll_fn(|context| {
        if polls == times {
            return Poll::Ready(None);
        }
        polls += 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            // The last poll was the last: nobody waits for the future to want another.
            Poll::Pending if polls == times => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Adds one, wherever it is dropped.
pub(crate) struct CountsItsDrop<'a>(pub(crate) &'a AtomicUsize);

impl Drop for CountsItsDrop<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
