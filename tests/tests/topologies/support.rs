//! What the modules share: bounds, managers, locks that are watched closely.

use std::future::Future;
use std::time::{Duration, Instant};

use lock_runtime::{Lease, LockError, LockGuard, LockManager, LostReason};
use lock_tests::{RedisServer, eventually};

/// "At once", "quickly": with room for a loaded machine.
pub(crate) const SOON: Duration = Duration::from_secs(2);
/// The longest that a call may take when the backend does not answer.
pub(crate) const ANSWER: Duration = Duration::from_secs(5);
/// For what only has to happen some time.
pub(crate) const LATE: Duration = Duration::from_secs(20);
/// A ttl that no test lives to see.
pub(crate) const LONG: Duration = Duration::from_secs(600);

/// `key` as it is in Redis, with the default namespace.
pub(crate) fn full(key: &str) -> String {
    format!("lock:{key}")
}

/// A manager with this owner.
pub(crate) async fn manager(url: &str, owner: &str) -> LockManager {
    let builder = LockManager::builder().url(url).owner(owner).default_ttl(LONG);
    within(ANSWER, "connect", builder.connect()).await.unwrap()
}

/// Two managers on the same locks, as two processes would have them.
pub(crate) async fn two_managers(url: &str) -> [LockManager; 2] {
    [manager(url, "one").await, manager(url, "two").await]
}

/// The lock is free for this manager, which takes it quickly and gives it back.
pub(crate) async fn works(manager: &LockManager, key: &str) {
    let guard = within(SOON, key, manager.lock(key).try_acquire()).await.unwrap();
    let guard = guard.unwrap_or_else(|| panic!("{key} is taken"));
    within(SOON, key, guard.release()).await.unwrap();
}

/// The lock can be had in the end; until then the backend may only be unavailable.
pub(crate) async fn works_again(manager: &LockManager, key: &str) -> LockGuard {
    let start = Instant::now();
    loop {
        match within(ANSWER, key, manager.lock(key).try_acquire()).await {
            Ok(Some(guard)) => return guard,
            Ok(None) => panic!("{key} is free, and yet taken"),
            Err(error) => assert!(error.is_unavailable(), "{error:?}"),
        }
        assert!(start.elapsed() < LATE, "{key} cannot be had within {LATE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Nobody can tell whether the lock is free: within 5 s, and never a conflict.
pub(crate) async fn unavailable(manager: &LockManager, key: &str) -> LockError {
    let answer = within(ANSWER, key, manager.lock(key).try_acquire()).await;
    let error = answer.expect_err("the backend is unavailable");
    assert!(error.is_unavailable(), "{error:?}");
    error
}

/// Somebody else holds the lock, and this manager knows it.
pub(crate) async fn conflicts(manager: &LockManager, key: &str) {
    let answer = within(ANSWER, key, manager.lock(key).try_acquire()).await;
    assert!(answer.unwrap().is_none(), "{key} was given out twice");
}

/// [`conflicts`], after a while in which the backend may be unavailable.
pub(crate) async fn conflicts_again(manager: &LockManager, key: &str) {
    eventually(
        "the manager knows that somebody holds the lock",
        LATE,
        async || match within(ANSWER, key, manager.lock(key).try_acquire()).await {
            Ok(None) => true,
            Ok(Some(_)) => panic!("{key} was given out twice"),
            Err(error) => {
                assert!(error.is_unavailable(), "{error:?}");
                false
            }
        },
    )
    .await;
}

/// Somebody else holds the lock: whatever the answer, it is no lock.
pub(crate) async fn is_not_given(manager: &LockManager, key: &str) {
    match within(ANSWER, key, manager.lock(key).try_acquire()).await {
        Ok(None) => {}
        Ok(Some(_)) => panic!("{key} was given out twice"),
        Err(error) => assert!(error.is_unavailable(), "{error:?}"),
    }
}

/// A lease that is renewed ten times a second, so that what happens to it is noticed soon.
pub(crate) async fn watched(manager: &LockManager, key: &str) -> LockGuard {
    let request = manager.lock(key).ttl(Duration::from_secs(60));
    let request = request.renew_every(Duration::from_millis(100));
    within(ANSWER, key, request.acquire()).await.unwrap()
}

/// The lease is lost within `bound`; why.
pub(crate) async fn is_lost(guard: &LockGuard, bound: Duration) -> LostReason {
    let reason = within(bound, "the loss", guard.lease().lost()).await;
    assert!(!guard.lease().is_held());
    assert!(guard.lease().ensure_held().unwrap_err().is_lost());
    reason
}

/// Waits until two renewals are confirmed, so that one was sent from now on. Nothing else makes the
/// remaining time longer.
pub(crate) async fn until_renewed(lease: &Lease) {
    let mut last = lease.remaining();
    let mut renewals = 0;
    eventually("two renewals are confirmed", LATE, async || {
        lease.ensure_held().unwrap();
        let before = std::mem::replace(&mut last, lease.remaining());
        renewals += u32::from(last > before);
        renewals == 2
    })
    .await;
}

/// Waits until no renewal was confirmed for so long.
pub(crate) async fn until_not_renewed_for(lease: &Lease, time: Duration) {
    let (mut last, mut since) = (lease.remaining(), Instant::now());
    eventually("renewals fail", LATE + time, async || {
        let before = std::mem::replace(&mut last, lease.remaining());
        if last > before {
            since = Instant::now();
        }
        since.elapsed() >= time
    })
    .await;
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

/// Waits until nobody of `servers` has a lock any more.
pub(crate) async fn until_no_lock_is_left(servers: &[RedisServer]) {
    eventually("no lock is left on any server", LATE, async || {
        servers.iter().all(|server| locks(server).is_empty())
    })
    .await;
}

/// The keys in the default namespace.
pub(crate) fn locks(server: &RedisServer) -> Vec<String> {
    let mut keys = server.keys();
    keys.retain(|key| key.starts_with("lock:"));
    keys
}

/// A waiter whose re-checks are so rare that none of them is taken for a wake-up.
pub(crate) fn waiting(manager: &LockManager, key: &str) -> tokio::task::JoinHandle<Result<LockGuard, LockError>> {
    let (min, max) = (Duration::from_secs(50), Duration::from_secs(55));
    let request = manager.lock(key).ttl(LONG).wait(LONG).backoff(min, max);
    tokio::spawn(request.acquire())
}

/// Waits until `count` of the servers have a listener for the release of `key`.
pub(crate) async fn until_subscribed(servers: &[&RedisServer], key: &str, count: usize) {
    let channel = format!("distributed-lock:free:{}", full(key));
    // In a cluster it has the slot's tag in front.
    let lines = format!("distributed-lock:line:*{}", full(key));
    eventually("a waiter stands in line, or has subscribed", LATE, async || {
        let listens = |server: &&&RedisServer| {
            !server.cli(&["PUBSUB", "NUMSUB", &channel]).ends_with("\n0")
                || !server.cli(&["KEYS", &lines]).trim().is_empty()
        };
        servers.iter().filter(listens).count() >= count
    })
    .await;
}
