//! What lets a stored call run: the release of the lock that it waits for, long before its delay is over; the lock's
//! expiry; and, where nothing wakes anybody, its due time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lock_runtime::{LockError, LockGuard, LockManager, distributed_lock};
use lock_tests::{Fixture, each_backend, eventually};
use tokio::sync::Notify;

use crate::functions::{ship, ship_soon};
use crate::support::{Act, LATE, Shop, Working, done, hold, key, ms, soon};

/// A call with a delay of an hour, for which a worker of the first manager waits, and who holds its lock.
struct Scene {
    fixture: Fixture,
    shop: Shop,
    worker: Working,
    guard: LockGuard,
}

impl Scene {
    async fn new(fixture: Fixture, holder: usize) -> Scene {
        let shop = Shop::on(fixture.manager());
        let guard = hold([fixture.manager(), fixture.another_manager()][holder], 7).await;
        let worker = shop.work(fixture.manager());
        Scene {
            fixture,
            shop,
            worker,
            guard,
        }
    }
}

/// Whoever holds the lock, and however it is released.
async fn runs_soon_after(holder: usize, release: impl AsyncFn(&Fixture, LockGuard)) {
    each_backend(async |fixture: Fixture| {
        let scene = Scene::new(fixture, holder).await;
        let (locks, shop) = (scene.fixture.manager(), &scene.shop);
        let ticket = shop
            .at(scene.fixture.another_manager())
            .store(7, "call", Act::Note)
            .await;
        // Both whoever waits already and whoever comes to it now.
        shop.closed(7, true);
        tokio::time::sleep(ms(100)).await;
        assert_eq!(shop.begun(), [""; 0]);
        shop.closed(7, false);
        release(&scene.fixture, scene.guard).await;
        done(locks, ticket).await;
        assert_eq!(shop.ended(), ["call"]);
        scene.worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_call_runs_soon_after_the_release_of_another_manager() {
    runs_soon_after(1, async |_, guard| guard.release().await.unwrap()).await;
}

#[tokio::test]
async fn a_call_runs_soon_after_the_release_of_the_workers_manager() {
    runs_soon_after(0, async |_, guard| guard.release().await.unwrap()).await;
}

#[tokio::test]
async fn a_call_runs_soon_after_the_guard_is_dropped() {
    runs_soon_after(1, async |_, guard| drop(guard)).await;
}

#[tokio::test]
async fn a_call_runs_soon_after_an_operator_frees_the_lock() {
    runs_soon_after(1, async |fixture, guard| {
        assert!(fixture.another_manager().force_release(key(7)).await.unwrap());
        drop(guard);
    })
    .await;
}

#[tokio::test]
async fn a_call_runs_soon_after_the_body_ends_that_it_met() {
    #[distributed_lock(key = "order:7", ttl = "60s", manager = locks)]
    async fn holds(locks: LockManager, entered: Arc<Notify>, release: Arc<Notify>) -> Result<(), LockError> {
        entered.notify_one();
        release.notified().await;
        Ok(())
    }
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let worker = shop.work(fixture.manager());
        let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let locks = fixture.another_manager().clone();
        let holder = tokio::spawn(holds(locks, entered.clone(), release.clone()));
        soon("the body has begun", entered.notified()).await;
        let ticket = shop.store(7, "call", Act::Note).await;
        release.notify_one();
        done(fixture.manager(), ticket).await;
        holder.await.unwrap().unwrap();
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_call_runs_soon_after_the_lock_has_expired_and_not_before() {
    each_backend(async |fixture: Fixture| {
        let (ttl, begun) = (ms(1_500), Instant::now());
        let lock = fixture.another_manager().lock(key(7)).ttl(ttl).never_renew();
        let holder = lock.acquire().await.unwrap();
        let shop = Shop::on(fixture.manager());
        let worker = shop.work(fixture.manager());
        let ticket = shop.store(7, "call", Act::Note).await;
        shop.until_begun(1).await;
        let waited = begun.elapsed();
        assert!(waited >= ttl - ms(20), "it began after {waited:?}");
        assert!(!holder.lease().is_held());
        done(fixture.manager(), ticket).await;
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_call_runs_soon_after_a_foreign_clients_lock_has_expired() {
    let fixture = Fixture::redis().await;
    let server = fixture.server().unwrap();
    server.cli(&["SET", "lock:order:7", "somebody-else", "NX", "PX", "1500"]);
    let shop = Shop::on(fixture.manager());
    let worker = shop.work(fixture.manager());
    let ticket = shop.store(7, "call", Act::Note).await;
    assert_eq!(shop.begun(), [""; 0]);
    done(fixture.manager(), ticket).await;
    worker.stop().await;
}

#[tokio::test]
async fn a_call_runs_by_its_due_time_when_nothing_wakes_anybody() {
    let fixture = Fixture::redis().await;
    let server = fixture.server().unwrap();
    server.cli(&["SET", "lock:order:7", "somebody-else", "NX", "PX", "60000"]);
    let shop = Shop::on(fixture.manager());
    let worker = shop.work(fixture.manager());
    let outcome = ship_soon(&shop, 7, "call".into(), Act::Note).await.unwrap();
    // In silence, as a client that knows nothing of us does it.
    server.cli(&["DEL", "lock:order:7"]);
    done(fixture.manager(), outcome.ticket().unwrap()).await;
    worker.stop().await;
}

#[tokio::test]
async fn a_call_runs_when_a_worker_starts_after_the_lock_was_released() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let ticket = shop.store_free(7, "call", Act::Note).await;
        let worker = shop.work(fixture.another_manager());
        done(fixture.manager(), ticket).await;
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_call_that_is_stored_while_a_worker_is_idle_runs_soon() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let worker = shop.work(fixture.another_manager());
        for round in 0..10 {
            let ticket = shop.store_free(round % 3, &format!("call {round}"), Act::Note).await;
            done(fixture.manager(), ticket).await;
        }
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn no_release_is_missed_that_falls_into_the_moment_of_storing() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let worker = shop.work(fixture.manager());
        for round in 0..40 {
            let guard = hold(fixture.another_manager(), 7).await;
            let caller = shop.clone();
            let name = format!("call {round}");
            let call = tokio::spawn(async move { ship(&caller, 7, name, Act::Note).await });
            // The release falls into every moment between the refusal, the storing and the worker's watch.
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_micros(round * 100) {
                tokio::task::yield_now().await;
            }
            guard.release().await.unwrap();
            if let Some(ticket) = call.await.unwrap().unwrap().ticket() {
                done(fixture.manager(), ticket).await;
            }
        }
        assert_eq!(shop.ended().len(), 40);
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_waiting_worker_whose_connections_are_cut_is_woken_all_the_same() {
    let fixture = Fixture::redis().await;
    let server = fixture.server().unwrap();
    let guard = hold(fixture.another_manager(), 7).await;
    let shop = Shop::on(fixture.manager());
    let worker = shop.work(fixture.manager());
    let ticket = shop.store(7, "call", Act::Note).await;
    // Everybody but the harness, twice: also whoever was just coming back.
    for _ in 0..2 {
        server.cli(&["CLIENT", "KILL", "USER", "default"]);
    }
    guard.release().await.unwrap();
    done(fixture.manager(), ticket).await;
    worker.stop().await;
}

#[tokio::test]
async fn a_worker_goes_on_when_the_server_was_away() {
    let fixture = Fixture::redis().await;
    let server = fixture.server().unwrap();
    let shop = Shop::on(fixture.manager());
    let first = shop.store_stubborn_free(7, "before", Act::Note).await;
    server.pause();
    let worker = shop.work(fixture.another_manager());
    // As long as any request waits for its answer.
    fixture.manager().queue().counts().await.unwrap_err();
    assert!(worker.works());
    server.resume();
    let queue = fixture.manager().queue();
    eventually("the call has run", LATE, async || {
        queue.get(first).await.is_ok_and(|call| call.is_none())
    })
    .await;
    let second = shop.store_stubborn_free(7, "after", Act::Note).await;
    done(fixture.manager(), second).await;
    worker.stop().await;
}

#[tokio::test]
async fn a_stored_call_waits_for_its_lock_however_many_workers_look_at_it() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let guard = hold(fixture.another_manager(), 7).await;
        let ticket = shop.store(7, "call", Act::Note).await;
        let one = shop.work(fixture.manager());
        let two = shop.work(fixture.another_manager());
        let other = shop.store_free(8, "another", Act::Note).await;
        done(fixture.manager(), other).await;
        assert_eq!(shop.runs("call"), 0);
        guard.release().await.unwrap();
        soon("it runs", async {
            while shop.runs("call") == 0 {
                tokio::time::sleep(ms(5)).await;
            }
        })
        .await;
        done(fixture.manager(), ticket).await;
        assert_eq!(shop.runs("call"), 1);
        one.stop().await;
        two.stop().await;
    })
    .await;
}
