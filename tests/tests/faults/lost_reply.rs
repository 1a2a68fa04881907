//! The server acted and its reply never came: cleared up or given up, never taken for success.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lock_runtime::LockManager;
use lock_tests::{RedisServer, eventually};

use crate::support::{ANSWER, LATE, LONG, Policy, SOON, behind_proxy, full, until_renewed, within};

async fn is_free_soon(server: &RedisServer, key: &str) {
    let key = full(key);
    eventually(&format!("{key} is gone"), SOON, async || !server.exists(&key)).await;
}

/// Loses the reply to an acquire under `policy`: the body runs once under a lease that is really
/// held, or there is an error; afterwards the lock is free, long before its ttl.
async fn the_reply_to_an_acquire_is_lost(policy: Policy) {
    let (server, proxy, manager) = behind_proxy().await;
    proxy.lose_reply_to(&full(policy.key()));
    let runs = AtomicUsize::new(0);
    let result = within(policy.answers_within(), "the call", policy.call(&manager, &runs)).await;
    assert_eq!(proxy.lost_replies(), 1);
    match result {
        Ok(()) => assert_eq!(runs.load(Ordering::SeqCst), 1),
        Err(error) => {
            assert!(error.is_unavailable(), "{error:?}");
            assert_eq!(runs.load(Ordering::SeqCst), 0);
        }
    }
    is_free_soon(&server, policy.key()).await;
}

#[tokio::test]
async fn a_lost_reply_to_an_acquire_is_cleared_up_under_fail() {
    the_reply_to_an_acquire_is_lost(Policy::Fail).await;
}

#[tokio::test]
async fn a_lost_reply_to_an_acquire_is_cleared_up_under_skip() {
    the_reply_to_an_acquire_is_lost(Policy::Skip).await;
}

#[tokio::test]
async fn a_lost_reply_to_an_acquire_is_cleared_up_under_retry() {
    the_reply_to_an_acquire_is_lost(Policy::Retry).await;
}

#[tokio::test]
async fn a_lost_reply_from_a_server_that_forgot_its_scripts_is_cleared_up() {
    let (server, proxy, manager) = behind_proxy().await;
    server.cli(&["SCRIPT", "FLUSH"]);
    proxy.lose_reply_to("lock:job");
    if let Err(error) = within(ANSWER, "the call", manager.lock("job").ttl(LONG).run(async {})).await {
        assert!(error.is_unavailable(), "{error:?}");
    }
    assert_eq!(proxy.lost_replies(), 1);
    is_free_soon(&server, "job").await;
}

#[tokio::test]
async fn a_guard_after_a_lost_reply_is_really_held() {
    let (server, proxy, manager) = behind_proxy().await;
    proxy.lose_reply_to("lock:job");
    match within(ANSWER, "acquire", manager.lock("job").ttl(LONG).try_acquire()).await {
        Ok(guard) => {
            let guard = guard.expect("nobody else wants the lock: what is there is ours");
            assert!(server.get("lock:job").expect("the lock is held").ends_with(" ours"));
            assert!(guard.lease().is_held());
            guard.release().await.unwrap();
        }
        Err(error) => assert!(error.is_unavailable(), "{error:?}"),
    }
    assert_eq!(proxy.lost_replies(), 1);
    is_free_soon(&server, "job").await;
}

#[tokio::test]
async fn a_lost_reply_to_an_acquire_does_not_let_two_in() {
    let (server, proxy, manager) = behind_proxy().await;
    let direct = LockManager::connect(&server.url()).await.unwrap();
    proxy.lose_reply_to("lock:job");
    let inside = AtomicUsize::new(0);
    let body = async || {
        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two bodies at a time");
        tokio::time::sleep(Duration::from_millis(50)).await;
        inside.fetch_sub(1, Ordering::SeqCst);
    };
    let (first, second) = tokio::join!(
        manager.lock("job").wait(LATE).run(body()),
        direct.lock("job").wait(LATE).run(body()),
    );
    second.unwrap();
    assert_eq!(proxy.lost_replies(), 1);
    if let Err(error) = first {
        assert!(error.is_unavailable(), "{error:?}");
    }
}

#[tokio::test]
async fn an_acquire_whose_replies_never_come_is_given_up_in_time_and_undone() {
    let (server, proxy, manager) = behind_proxy().await;
    proxy.swallow_replies(true);
    let acquire = manager.lock("job").ttl(LONG).try_acquire();
    let error = within(ANSWER, "acquire", acquire).await.unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");
    proxy.swallow_replies(false);
    proxy.cut();
    eventually("the lock is free", LATE, async || !server.exists("lock:job")).await;
}

#[tokio::test]
async fn an_acquire_given_up_on_a_hung_server_is_undone_when_it_wakes() {
    let server = RedisServer::start();
    let manager = LockManager::connect(&server.url()).await.unwrap();
    manager
        .lock("warm-up")
        .acquire()
        .await
        .unwrap()
        .release()
        .await
        .unwrap();
    server.pause();
    let acquire = manager.lock("job").ttl(LONG).try_acquire();
    let error = within(ANSWER, "acquire", acquire).await.unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");
    server.resume();
    // Whatever was on its way is applied first; then nothing is left, and nothing comes later.
    let manager = LockManager::connect(&server.url()).await.unwrap();
    let guard = within(LATE, "the next holder", manager.lock("job").wait(LATE).acquire())
        .await
        .unwrap();
    guard.release().await.unwrap();
    eventually("the lock is free", LATE, async || !server.exists("lock:job")).await;
}

#[tokio::test]
async fn a_reply_that_comes_after_the_ttl_is_no_lease() {
    let (_server, proxy, manager) = behind_proxy().await;
    let ttl = Duration::from_millis(200);
    proxy.delay(Duration::from_millis(400));
    let acquire = manager.lock("job").ttl(ttl).try_acquire();
    let result = within(ANSWER, "acquire", acquire).await;
    let error = result.expect_err("what was acquired is over when the answer comes");
    assert!(!error.is_conflict(), "{error:?}");
}

#[tokio::test]
async fn a_renewal_after_one_whose_reply_was_lost_moves_the_deadline() {
    let (_server, proxy, manager) = behind_proxy().await;
    let request = manager
        .lock("job")
        .ttl(Duration::from_secs(15))
        .renew_every(Duration::from_millis(200));
    let guard = request.acquire().await.unwrap();
    proxy.lose_reply_to("lock:job");
    eventually("the reply to a renewal is lost", LATE, async || {
        proxy.lost_replies() == 1
    })
    .await;
    until_renewed(guard.lease()).await;
    assert!(guard.lease().is_held());
}

#[tokio::test]
async fn a_renewal_whose_reply_was_lost_does_not_move_the_deadline() {
    let (server, proxy, manager) = behind_proxy().await;
    let ttl = Duration::from_secs(30);
    let request = manager.lock("job").ttl(ttl).renew_every(Duration::from_millis(200));
    let guard = request.acquire().await.unwrap();
    proxy.swallow_replies(true);
    let mut last = guard.lease().remaining();
    eventually(
        "a renewal reached the server, and its reply was lost",
        LATE,
        async || {
            let remaining = guard.lease().remaining();
            // One that was confirmed when the replies began to be swallowed may still move it.
            assert!(
                proxy.lost_replies() == 0 || remaining <= last,
                "an unconfirmed renewal moved the deadline"
            );
            last = remaining;
            proxy.lost_replies() > 0
                && server
                    .ttl("lock:job")
                    .is_some_and(|ttl| ttl > remaining + Duration::from_millis(100))
        },
    )
    .await;
}

#[tokio::test]
async fn a_lost_reply_to_a_release_leaves_the_lock_free() {
    let (server, proxy, manager) = behind_proxy().await;
    let guard = manager.lock("job").ttl(LONG).acquire().await.unwrap();
    proxy.lose_reply_to("lock:job");
    // That the key is gone when the release is sent again says that one of the two removed it; it is
    // no sign that the lease was lost.
    if let Err(error) = within(ANSWER, "release", guard.release()).await {
        assert!(error.is_unavailable(), "{error:?}");
    }
    assert_eq!(proxy.lost_replies(), 1);
    is_free_soon(&server, "job").await;
}

#[tokio::test]
async fn a_lost_reply_to_a_release_does_not_replace_the_result_of_the_body() {
    let (_server, proxy, manager) = behind_proxy().await;
    let run = manager.lock("job").run(async {
        proxy.lose_reply_to("lock:job");
        42
    });
    assert_eq!(within(ANSWER, "run", run).await.unwrap(), 42);
    eventually("its reply is lost", SOON, async || proxy.lost_replies() == 1).await;
}

#[tokio::test]
async fn a_release_that_is_sent_again_does_not_take_the_lock_from_the_next_holder() {
    let (server, proxy, manager) = behind_proxy().await;
    let direct = LockManager::connect(&server.url()).await.unwrap();
    let guard = manager.lock("job").ttl(LONG).acquire().await.unwrap();
    let before = proxy.requests_with("lock:job");
    // The server releases, the reply does not come, and what is sent again cannot arrive yet.
    proxy.lose_reply_to("lock:job");
    proxy.refuse(true);
    let release = tokio::spawn(guard.release());
    eventually("the release is applied", LATE, async || proxy.lost_replies() == 1).await;
    let next = direct.lock("job").ttl(LONG).acquire().await.unwrap();
    proxy.refuse(false);
    eventually("the release is sent again", LATE, async || {
        proxy.requests_with("lock:job") >= before + 2
    })
    .await;
    let _ = within(LATE, "release", release).await.unwrap();
    assert!(server.exists("lock:job"), "the next holder's lock is gone");
    next.release().await.unwrap();
}

#[tokio::test]
async fn a_release_while_nothing_passes_is_made_up_for_when_it_passes_again() {
    let (server, proxy, manager) = behind_proxy().await;
    let guard = manager.lock("job").ttl(LONG).acquire().await.unwrap();
    proxy.refuse(true);
    proxy.cut();
    drop(guard);
    eventually("two attempts failed", LATE, async || proxy.refused() >= 2).await;
    assert!(server.exists("lock:job"));
    proxy.refuse(false);
    eventually("the lock is free", LATE, async || !server.exists("lock:job")).await;
}

#[tokio::test]
async fn an_acquire_dropped_while_its_request_is_on_its_way_is_undone() {
    let (server, proxy, manager) = behind_proxy().await;
    proxy.freeze();
    let acquire = manager.lock("job").ttl(LONG).acquire();
    tokio::select! {
        _ = acquire => panic!("nothing passes"),
        () = eventually("the request is on its way", LATE, async || proxy.requests_with("lock:job") == 1) => {}
    }
    proxy.thaw();
    // The request must have been applied before it can be undone.
    eventually("something came after the acquire", LATE, async || {
        proxy.requests_with("lock:job") >= 2
    })
    .await;
    is_free_soon(&server, "job").await;
}
