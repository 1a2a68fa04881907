//! Section 4: how `"retry"` waits, and what ends the wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lock_runtime::{LockError, LockGuard, LockManager, distributed_lock};
use lock_tests::{Fixture, each_backend};
use tokio::task::JoinHandle;

use crate::support::{Count, SOON, drift, free_soon, ms, soon};

/// Waits with re-checks so far apart that only a wake-up can be the reason of being on time.
#[distributed_lock(key = "job", on_conflict = "retry", wait = "60s", backoff = "50s..55s", manager = locks)]
async fn woken(locks: LockManager) -> Result<Instant, LockError> {
    Ok(Instant::now())
}

/// Waits with the re-checks that are the default.
#[distributed_lock(key = "job", on_conflict = "retry", wait = "60s", manager = locks)]
async fn checking(locks: LockManager) -> Result<Instant, LockError> {
    Ok(Instant::now())
}

/// A call that waits: it was refused for sure when this returns.
async fn waiting(locks: &LockManager) -> JoinHandle<Result<Instant, LockError>> {
    let mut call = Box::pin(woken(locks.clone()));
    // Time for the refusal, and for whatever the backend needs to be woken.
    let still_waits = tokio::time::timeout(ms(300), call.as_mut()).await.is_err();
    assert!(still_waits, "the lock is held");
    tokio::spawn(call)
}

async fn hold(locks: &LockManager) -> LockGuard {
    locks.lock("job").ttl(Duration::from_secs(60)).acquire().await.unwrap()
}

#[tokio::test]
async fn retry_runs_at_once_when_the_lock_is_free() {
    each_backend(async |fixture: Fixture| {
        soon("a free lock is taken", woken(fixture.manager().clone()))
            .await
            .unwrap();
    })
    .await;
}

#[tokio::test]
async fn retry_is_woken_by_the_release_of_another_manager() {
    each_backend(async |fixture: Fixture| {
        let holder = hold(fixture.another_manager()).await;
        let waiter = waiting(fixture.manager()).await;
        let released = Instant::now();
        holder.release().await.unwrap();
        let began = soon("the waiter is woken", waiter).await.unwrap().unwrap();
        assert!(began >= released, "it ran while another held the lock");
    })
    .await;
}

#[tokio::test]
async fn retry_is_woken_by_the_release_of_its_own_manager() {
    each_backend(async |fixture: Fixture| {
        let holder = hold(fixture.manager()).await;
        let waiter = waiting(fixture.manager()).await;
        holder.release().await.unwrap();
        soon("the waiter is woken", waiter).await.unwrap().unwrap();
    })
    .await;
}

#[tokio::test]
async fn retry_is_woken_when_the_holders_guard_is_dropped() {
    each_backend(async |fixture: Fixture| {
        let holder = hold(fixture.another_manager()).await;
        let waiter = waiting(fixture.manager()).await;
        drop(holder);
        soon("the waiter is woken", waiter).await.unwrap().unwrap();
    })
    .await;
}

#[tokio::test]
async fn retry_is_woken_when_the_holders_body_ends() {
    #[distributed_lock(key = "job", ttl = "60s", manager = locks)]
    async fn holds(locks: LockManager, release: Arc<tokio::sync::Notify>) -> Result<(), LockError> {
        release.notified().await;
        Ok(())
    }
    each_backend(async |fixture: Fixture| {
        let release = Arc::new(tokio::sync::Notify::new());
        let mut holder = Box::pin(holds(fixture.another_manager().clone(), release.clone()));
        assert!(tokio::time::timeout(ms(200), holder.as_mut()).await.is_err());
        let holder = tokio::spawn(holder);
        let waiter = waiting(fixture.manager()).await;
        release.notify_one();
        soon("the waiter is woken", waiter).await.unwrap().unwrap();
        holder.await.unwrap().unwrap();
    })
    .await;
}

#[tokio::test]
async fn retry_is_woken_by_an_operator_who_frees_the_lock() {
    each_backend(async |fixture: Fixture| {
        let _holder = hold(fixture.another_manager()).await;
        let waiter = waiting(fixture.manager()).await;
        assert!(fixture.another_manager().force_release("job").await.unwrap());
        soon("the waiter is woken", waiter).await.unwrap().unwrap();
    })
    .await;
}

#[tokio::test]
async fn retry_is_woken_by_expiry_and_not_before_it() {
    each_backend(async |fixture: Fixture| {
        let (ttl, before) = (ms(3000), Instant::now());
        let holder = fixture
            .another_manager()
            .lock("job")
            .ttl(ttl)
            .never_renew()
            .acquire()
            .await
            .unwrap();
        let waiter = waiting(fixture.manager()).await;
        let began = soon("the waiter is woken", waiter).await.unwrap().unwrap();
        assert!(
            began.duration_since(before) >= ttl - drift(ttl),
            "{:?}",
            began.duration_since(before)
        );
        assert!(!holder.lease().is_held());
    })
    .await;
}

#[tokio::test]
async fn retry_is_woken_by_the_expiry_of_a_foreign_clients_lock() {
    let fixture = Fixture::redis().await;
    let (server, before) = (fixture.server().unwrap(), Instant::now());
    server.cli(&["SET", "lock:job", "somebody-else", "NX", "PX", "3000"]);
    let waiter = waiting(fixture.manager()).await;
    let began = soon("the waiter is woken", waiter).await.unwrap().unwrap();
    assert!(
        began.duration_since(before) >= ms(3000),
        "{:?}",
        began.duration_since(before)
    );
}

#[tokio::test]
async fn retry_looks_again_by_itself_when_a_foreign_client_frees_the_lock_in_silence() {
    let fixture = Fixture::redis().await;
    let server = fixture.server().unwrap();
    server.cli(&["SET", "lock:job", "somebody-else", "NX", "PX", "60000"]);
    let mut call = Box::pin(checking(fixture.manager().clone()));
    assert!(tokio::time::timeout(ms(300), call.as_mut()).await.is_err());
    server.cli(&["DEL", "lock:job"]);
    soon("the waiter looks again", call).await.unwrap();
}

#[tokio::test]
async fn retry_waits_at_most_wait_and_is_then_a_conflict() {
    #[distributed_lock(key = "job", on_conflict = "retry", wait = "700ms", manager = locks)]
    async fn impatient(locks: &LockManager, ran: &Count) -> Result<(), LockError> {
        ran.add();
        Ok(())
    }
    each_backend(async |fixture: Fixture| {
        let _holder = hold(fixture.another_manager()).await;
        let (ran, begun) = (Count::default(), Instant::now());
        let error = impatient(fixture.manager(), &ran).await.unwrap_err();
        let waited = begun.elapsed();
        assert!(error.is_conflict(), "{error:?}");
        assert!(waited >= ms(700), "it gave up after {waited:?}");
        assert!(waited < ms(700) + SOON, "it gave up after {waited:?}");
        assert_eq!(ran.get(), 0);
    })
    .await;
}

#[tokio::test]
async fn wait_is_kept_to_even_when_the_next_look_would_be_later() {
    #[distributed_lock(key = "job", on_conflict = "retry", wait = "300ms", backoff = "50s..55s", manager = locks)]
    async fn impatient(locks: &LockManager) -> Result<(), LockError> {
        Ok(())
    }
    each_backend(async |fixture: Fixture| {
        let _holder = hold(fixture.another_manager()).await;
        let begun = Instant::now();
        let error = soon("it gives up", impatient(fixture.manager())).await.unwrap_err();
        assert!(error.is_conflict(), "{error:?}");
        assert!(begun.elapsed() >= ms(300));
    })
    .await;
}

#[tokio::test]
async fn without_wait_retry_waits_as_long_as_the_manager_says() {
    #[distributed_lock(key = "job", on_conflict = "retry", manager = locks)]
    async fn patient(locks: &LockManager) -> Result<(), LockError> {
        Ok(())
    }
    each_backend(async |fixture: Fixture| {
        let _holder = hold(fixture.another_manager()).await;
        let locks = fixture.builder().default_wait(ms(600)).connect().await.unwrap();
        let begun = Instant::now();
        let error = soon("it gives up", patient(&locks)).await.unwrap_err();
        assert!(error.is_conflict(), "{error:?}");
        assert!(begun.elapsed() >= ms(600));
    })
    .await;
}

#[tokio::test]
async fn all_waiters_get_the_lock_one_after_the_other() {
    #[distributed_lock(key = "job", on_conflict = "retry", wait = "60s", manager = locks)]
    async fn alone(locks: LockManager, inside: Arc<AtomicBool>) -> Result<(), LockError> {
        assert!(!inside.swap(true, Ordering::SeqCst), "two bodies at once");
        tokio::time::sleep(ms(5)).await;
        assert!(inside.swap(false, Ordering::SeqCst));
        Ok(())
    }
    each_backend(async |fixture: Fixture| {
        let inside = Arc::new(AtomicBool::new(false));
        let holder = hold(fixture.another_manager()).await;
        let waiters: Vec<_> = (0..12)
            .map(|number| {
                let locks = [fixture.manager(), fixture.another_manager()][number % 2];
                tokio::spawn(alone(locks.clone(), inside.clone()))
            })
            .collect();
        holder.release().await.unwrap();
        for waiter in waiters {
            tokio::time::timeout(SOON * 4, waiter).await.unwrap().unwrap().unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_waiter_that_is_dropped_leaves_nothing_behind() {
    each_backend(async |fixture: Fixture| {
        let holder = hold(fixture.another_manager()).await;
        let waiter = waiting(fixture.manager()).await;
        waiter.abort();
        assert!(waiter.await.unwrap_err().is_cancelled());
        holder.release().await.unwrap();
        free_soon(fixture.another_manager(), "job").await;
        let next = fixture.another_manager().lock("job").try_acquire().await.unwrap();
        assert!(next.is_some());
    })
    .await;
}

#[tokio::test]
async fn a_waiter_for_one_key_does_not_hold_up_another_key() {
    each_backend(async |fixture: Fixture| {
        let _holder = hold(fixture.another_manager()).await;
        let waiter = waiting(fixture.manager()).await;
        let free = fixture.manager().lock("another job").acquire();
        soon("the other key is taken", free)
            .await
            .unwrap()
            .release()
            .await
            .unwrap();
        waiter.abort();
    })
    .await;
}

#[tokio::test]
async fn no_release_is_missed_by_a_waiter_that_has_just_arrived() {
    each_backend(async |fixture: Fixture| {
        for round in 0..60 {
            let holder = hold(fixture.another_manager()).await;
            let waiter = tokio::spawn(woken(fixture.manager().clone()));
            // The release falls into every moment between the refusal and the sleep.
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_micros(round * 50) {
                tokio::task::yield_now().await;
            }
            holder.release().await.unwrap();
            soon("the waiter is woken", waiter).await.unwrap().unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn no_expiry_is_missed_by_a_waiter_that_has_just_arrived() {
    each_backend(async |fixture: Fixture| {
        for round in 0..10 {
            let before = Instant::now();
            let lock = fixture.another_manager().lock("job").ttl(ms(100)).never_renew();
            let holder = lock.acquire().await.unwrap();
            while before.elapsed() < ms(94 + round) {
                tokio::task::yield_now().await;
            }
            soon("the lock is free", woken(fixture.manager().clone()))
                .await
                .unwrap();
            drop(holder);
        }
    })
    .await;
}

#[tokio::test]
async fn a_waiter_whose_connection_is_cut_is_woken_all_the_same() {
    let fixture = Fixture::redis().await;
    let server = fixture.server().unwrap();
    let holder = hold(fixture.another_manager()).await;
    let waiter = waiting(fixture.manager()).await;
    // Everybody but the harness, twice: also whoever was just coming back.
    for _ in 0..2 {
        server.cli(&["CLIENT", "KILL", "USER", "default"]);
    }
    holder.release().await.unwrap();
    soon("the waiter is woken", waiter).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_waiter_goes_on_when_the_server_comes_back_empty() {
    let mut server = lock_tests::RedisServer::start();
    let locks = LockManager::connect(&server.url()).await.unwrap();
    server.cli(&["SET", "lock:job", "somebody-else", "PX", "60000"]);
    let mut call = Box::pin(checking(locks));
    assert!(tokio::time::timeout(ms(300), call.as_mut()).await.is_err());
    let waiter = tokio::spawn(call);
    server.restart();
    soon("the waiter gets the lock", waiter).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_waiter_for_a_key_of_odd_letters_is_woken_too() {
    each_backend(async |fixture: Fixture| {
        for key in ["a*b?[c]", "new\nline", "Größe {1} 100%", "\\"] {
            let holder = fixture.another_manager().lock(key).acquire().await.unwrap();
            let lock = fixture.manager().lock(key).wait(Duration::from_secs(60));
            let lock = lock.backoff(Duration::from_secs(50), Duration::from_secs(55));
            let mut waiter = Box::pin(lock.acquire());
            assert!(tokio::time::timeout(ms(200), waiter.as_mut()).await.is_err());
            holder.release().await.unwrap();
            soon("the waiter is woken", waiter)
                .await
                .unwrap()
                .release()
                .await
                .unwrap();
        }
    })
    .await;
}
