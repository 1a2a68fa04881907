//! A lease is lost on time, with the reason, and nobody else's key is touched.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use lock_runtime::{LockError, LockGuard, LockManager, LostReason};
use lock_tests::{RedisServer, eventually};

use crate::support::{LATE, SOON, redis, until_renewed, within};

/// Long enough that its drift (82 ms), by which a lease is lost before its key goes, is longer than
/// a loaded machine is late.
const TTL: Duration = Duration::from_secs(8);

/// A lease that is renewed ten times a second, so that what happens to its key is noticed soon.
async fn watched(manager: &LockManager) -> LockGuard {
    let request = manager
        .lock("job")
        .ttl(Duration::from_secs(20))
        .renew_every(Duration::from_millis(100));
    request.acquire().await.unwrap()
}

async fn is_lost_soon(guard: &LockGuard) -> LostReason {
    let reason = within(SOON, "the loss", guard.lease().lost()).await;
    assert!(!guard.lease().is_held());
    assert!(guard.lease().ensure_held().unwrap_err().is_lost());
    reason
}

/// Takes the lock, then lets `fault` happen. The loss is told, not before the lease's time, and nobody
/// who looks when one ttl is over finds it held, however late this test itself gets the processor.
async fn is_lost_on_time(fault: impl FnOnce(&mut RedisServer)) {
    let (mut server, manager) = redis().await;
    let guard = manager.lock("job").ttl(TTL).acquire().await.unwrap();
    let acquired = Instant::now();
    fault(&mut server);
    let lease = guard.lease().clone();
    let looks = tokio::spawn(async move {
        tokio::time::sleep_until((acquired + TTL).into()).await;
        assert!(!lease.is_held(), "held when its ttl {TTL:?} is over");
    });
    let reason = within(TTL + LATE, "the loss", guard.lease().lost()).await;
    looks.await.unwrap();
    let after = acquired.elapsed();
    assert_eq!(reason, LostReason::Expired);
    assert!(
        after >= TTL / 2,
        "lost {after:?} after it was acquired, although the ttl is {TTL:?}"
    );
}

#[tokio::test]
async fn a_lease_is_lost_on_time_when_the_server_hangs() {
    is_lost_on_time(|server| server.pause()).await;
}

#[tokio::test]
async fn a_lease_is_lost_on_time_when_the_server_is_killed() {
    is_lost_on_time(RedisServer::kill).await;
}

/// Notes when it is dropped.
struct NotesItsDrop<'a>(&'a Mutex<Option<Instant>>);

impl Drop for NotesItsDrop<'_> {
    fn drop(&mut self) {
        *self.0.lock().unwrap() = Some(Instant::now());
    }
}

#[tokio::test]
async fn a_body_is_dropped_on_time_when_the_server_hangs() {
    let (server, manager) = redis().await;
    let (acquired, dropped) = (Mutex::new(None), Mutex::new(None));
    let run = manager.lock("job").ttl(TTL).run(async {
        let _body = NotesItsDrop(&dropped);
        *acquired.lock().unwrap() = Some(Instant::now());
        server.pause();
        std::future::pending::<()>().await;
    });
    let error = within(TTL + SOON, "the call", run).await.unwrap_err();
    assert!(matches!(error, LockError::Lost { .. }), "{error:?}");
    assert_eq!(error.lost_reason(), Some(LostReason::Expired));
    let held = dropped.lock().unwrap().unwrap() - acquired.lock().unwrap().unwrap();
    assert!(held <= TTL, "the body was dropped after {held:?}, ttl {TTL:?}");
}

#[tokio::test]
async fn a_server_that_wakes_after_the_ttl_gives_the_lock_to_the_next() {
    let (server, manager) = redis().await;
    let guard = manager.lock("job").ttl(Duration::from_secs(2)).acquire().await.unwrap();
    let first = guard.fence();
    server.pause();
    guard.lease().lost().await;
    server.resume();
    let another = LockManager::connect(&server.url()).await.unwrap();
    let next = within(LATE, "the next holder", another.lock("job").wait(LATE).acquire())
        .await
        .unwrap();
    assert!(next.fence() > first);
}

#[tokio::test]
async fn a_release_after_the_loss_leaves_the_next_holder_alone() {
    let (server, manager) = redis().await;
    let guard = manager.lock("job").ttl(Duration::from_secs(2)).acquire().await.unwrap();
    server.pause();
    guard.lease().lost().await;
    server.resume();
    let another = LockManager::connect(&server.url()).await.unwrap();
    let next = within(LATE, "the next holder", another.lock("job").wait(LATE).acquire())
        .await
        .unwrap();
    let error = guard.release().await.unwrap_err();
    assert!(error.is_lost(), "{error:?}");
    assert!(server.exists("lock:job"));
    next.lease().ensure_held().unwrap();
}

#[tokio::test]
async fn a_lease_is_lost_when_the_server_is_restarted_empty() {
    let (mut server, manager) = redis().await;
    let guard = watched(&manager).await;
    server.restart();
    assert_eq!(is_lost_soon(&guard).await, LostReason::Missing);
}

#[tokio::test]
async fn a_lease_is_lost_after_flushall() {
    let (server, manager) = redis().await;
    let guard = watched(&manager).await;
    server.cli(&["FLUSHALL"]);
    assert_eq!(is_lost_soon(&guard).await, LostReason::Missing);
}

#[tokio::test]
async fn a_lease_is_lost_when_an_operator_deletes_its_key() {
    let (server, manager) = redis().await;
    let guard = watched(&manager).await;
    server.cli(&["DEL", "lock:job"]);
    assert_eq!(is_lost_soon(&guard).await, LostReason::Missing);
}

#[tokio::test]
async fn a_lease_is_lost_when_its_key_is_evicted() {
    let (server, manager) = redis().await;
    let guard = watched(&manager).await;
    server.cli(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    // A command that needs memory makes the server look for some.
    let _ = server.try_cli(&["SET", "another", "a"]);
    assert!(!server.exists("lock:job"), "nothing was evicted");
    assert_eq!(is_lost_soon(&guard).await, LostReason::Missing);
}

#[tokio::test]
async fn a_key_that_is_gone_is_not_put_back() {
    let (server, manager) = redis().await;
    let guard = watched(&manager).await;
    server.cli(&["DEL", "lock:job"]);
    is_lost_soon(&guard).await;
    drop(guard);
    manager.shutdown(SOON).await;
    assert!(!server.exists("lock:job"));
}

#[tokio::test]
async fn a_lease_is_lost_when_its_key_holds_another_token_which_stays() {
    let (server, manager) = redis().await;
    let guard = watched(&manager).await;
    server.cli(&["SET", "lock:job", "somebody", "PX", "60000"]);
    assert_eq!(is_lost_soon(&guard).await, LostReason::Taken);
    drop(guard);
    manager.shutdown(SOON).await;
    assert_eq!(server.get("lock:job").as_deref(), Some("somebody"));
}

#[tokio::test]
async fn the_ttl_of_another_token_is_not_renewed() {
    let (server, manager) = redis().await;
    let guard = watched(&manager).await;
    server.cli(&["SET", "lock:job", "somebody", "PX", "5000"]);
    is_lost_soon(&guard).await;
    assert!(server.ttl("lock:job").unwrap() <= Duration::from_secs(5));
}

#[tokio::test]
async fn a_lease_is_lost_when_its_key_is_of_another_type_which_stays() {
    let (server, manager) = redis().await;
    let guard = watched(&manager).await;
    server.cli(&["DEL", "lock:job"]);
    server.cli(&["RPUSH", "lock:job", "a"]);
    let reason = is_lost_soon(&guard).await;
    assert!(matches!(reason, LostReason::Taken | LostReason::Missing), "{reason:?}");
    drop(guard);
    manager.shutdown(SOON).await;
    assert_eq!(server.cli(&["LRANGE", "lock:job", "0", "-1"]), "a");
}

#[tokio::test]
async fn a_lease_outlives_script_flush() {
    let (server, manager) = redis().await;
    let guard = watched(&manager).await;
    server.cli(&["SCRIPT", "FLUSH"]);
    until_renewed(guard.lease()).await;
    server.cli(&["SCRIPT", "FLUSH"]);
    guard.release().await.unwrap();
    assert!(!server.exists("lock:job"));
}

#[tokio::test]
async fn an_acquire_after_script_flush_works() {
    let (server, manager) = redis().await;
    manager.lock("job").acquire().await.unwrap().release().await.unwrap();
    server.cli(&["SCRIPT", "FLUSH"]);
    manager.lock("job").acquire().await.unwrap().release().await.unwrap();
}

#[tokio::test]
async fn a_lease_that_is_never_renewed_ends_after_one_ttl() {
    let (_server, manager) = redis().await;
    let ttl = Duration::from_secs(2);
    let guard = manager.lock("job").ttl(ttl).never_renew().acquire().await.unwrap();
    let acquired = Instant::now();
    let reason = within(ttl + LATE, "the loss", guard.lease().lost()).await;
    assert_eq!(reason, LostReason::Expired);
    assert!(acquired.elapsed() >= ttl / 2, "lost after {:?}", acquired.elapsed());
}

#[tokio::test]
async fn a_lease_that_is_never_renewed_sends_nothing_while_it_is_held() {
    let server = RedisServer::start();
    let proxy = lock_tests::Proxy::to(&server);
    let manager = LockManager::connect(&proxy.url()).await.unwrap();
    let guard = manager
        .lock("job")
        .ttl(Duration::from_secs(2))
        .never_renew()
        .acquire()
        .await
        .unwrap();
    let before = proxy.requests_with("lock:job");
    guard.lease().lost().await;
    assert_eq!(proxy.requests_with("lock:job"), before);
}

#[tokio::test]
async fn a_lease_is_renewed_for_as_long_as_it_is_held() {
    let (server, manager) = redis().await;
    let ttl = Duration::from_secs(2);
    let guard = manager.lock("job").ttl(ttl).acquire().await.unwrap();
    let acquired = Instant::now();
    eventually("two ttls passed", ttl * 2 + LATE, async || {
        guard.lease().ensure_held().unwrap();
        acquired.elapsed() > ttl * 2
    })
    .await;
    assert!(server.exists("lock:job"));
}

#[tokio::test]
async fn nothing_is_renewed_after_its_body_is_gone() {
    let (server, manager) = redis().await;
    let request = manager
        .lock("job")
        .ttl(Duration::from_secs(20))
        .renew_every(Duration::from_millis(100));
    request.run(async {}).await.unwrap();
    let calls = || server.cli(&["INFO", "commandstats"]);
    let pexpires = || {
        calls()
            .lines()
            .find(|line| line.starts_with("cmdstat_pexpire:"))
            .map(str::to_owned)
    };
    let before = pexpires();
    let start = Instant::now();
    eventually("ten periods passed", LATE, async || {
        start.elapsed() > Duration::from_secs(1)
    })
    .await;
    assert_eq!(pexpires(), before);
}
