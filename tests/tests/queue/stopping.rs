//! How a worker ends: told to stop, dropped, or with its manager. What runs ends or is handed back, nothing is lost.

use lock_runtime::{CallEnd, LockManager, Ticket};
use lock_tests::{Fixture, each_backend, eventually};

use crate::support::{Act, SOON, Shop, Working, counts, done, hold, key, ms, no_violation, soon, stored, waiting};

/// Waits until the call is stored and nobody runs it; as it was handed back, it was not tried.
async fn handed_back(locks: &LockManager, ticket: Ticket) {
    eventually("the call is handed back", SOON, async || waiting(locks).await == 1).await;
    let call = stored(locks, ticket).await;
    assert_eq!((call.tried(), call.cause(), call.worker()), (0, None, None), "{call:?}");
    let free = async || locks.inspect(key(7)).await.unwrap().is_none();
    eventually("its lock is free", SOON, free).await;
}

#[tokio::test]
async fn a_worker_that_stops_lets_the_bodies_end_that_run() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let ticket = shop.store_free(7, "gate", Act::Gate).await;
        let worker = shop.work(fixture.manager());
        shop.until_inside(1).await;
        let stopped = worker.tell_to_stop();
        tokio::time::sleep(ms(100)).await;
        assert!(!stopped.is_finished(), "it did not wait for the body");
        shop.open(1);
        soon("the worker stops", stopped).await.unwrap().unwrap();
        assert_eq!(shop.ended(), ["gate"]);
        // Settled before the worker had ended.
        assert_eq!(
            fixture.another_manager().queue().wait(ticket).await.unwrap(),
            CallEnd::Done
        );
        assert_eq!(counts(fixture.manager()).await, [0; 4]);
    })
    .await;
}

#[tokio::test]
async fn a_worker_that_stops_takes_no_more_calls() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let first = shop.store_free(1, "runs", Act::Gate).await;
        let worker = Working::start(shop.worker(fixture.manager()).concurrency(1));
        shop.until_inside(1).await;
        let second = shop.store_free(2, "comes too late", Act::Note).await;
        let third = shop.store(1, "comes too late too", Act::Note).await;
        let stopped = worker.tell_to_stop();
        // Whoever asks now asks after the worker was told; on one thread it has heard that by then.
        tokio::time::sleep(ms(50)).await;
        shop.open(1);
        soon("the worker stops", stopped).await.unwrap().unwrap();
        done(fixture.manager(), first).await;
        assert_eq!(shop.begun(), ["runs"]);
        assert_eq!(waiting(fixture.manager()).await, 2);
        let worker = shop.work(fixture.another_manager());
        done(fixture.manager(), second).await;
        done(fixture.manager(), third).await;
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_body_that_outlasts_the_grace_is_dropped_and_its_call_is_handed_back() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let ticket = shop.store_free(7, "slow", Act::HangOnce).await;
        let worker = Working::start(shop.worker(fixture.manager()).grace(ms(200)));
        shop.until_inside(1).await;
        worker.stop().await;
        assert_eq!(shop.inside(), 0, "the body outlives its worker");
        // Handed back when the worker has ended, and not only when its claim does.
        handed_back(fixture.another_manager(), ticket).await;
        let worker = shop.work(fixture.another_manager());
        done(fixture.manager(), ticket).await;
        assert_eq!(shop.runs("slow"), 2);
        no_violation(&shop);
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_worker_that_is_dropped_drops_its_bodies_and_hands_their_calls_back() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let ticket = shop.store_free(7, "slow", Act::HangOnce).await;
        let worker = shop.work(fixture.manager());
        shop.until_inside(1).await;
        worker.drop_it().await;
        eventually("the body is dropped", SOON, async || shop.inside() == 0).await;
        handed_back(fixture.another_manager(), ticket).await;
        let worker = shop.work(fixture.another_manager());
        done(fixture.manager(), ticket).await;
        no_violation(&shop);
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_call_that_was_handed_back_still_runs_before_later_calls_for_its_key() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        shop.store_free(7, "first", Act::HangOnce).await;
        let worker = shop.work(fixture.manager());
        shop.until_inside(1).await;
        let last = shop.store(7, "second", Act::Note).await;
        worker.drop_it().await;
        let worker = shop.work(fixture.another_manager());
        done(fixture.manager(), last).await;
        assert_eq!(shop.ended(), ["first", "second"]);
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn handing_back_again_and_again_exhausts_no_call() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let guard = hold(fixture.manager(), 7).await;
        let outcome = crate::functions::ship_soon(&shop, 7, "unlucky".into(), Act::Hang).await;
        let ticket = outcome.unwrap().ticket().unwrap();
        guard.release().await.unwrap();
        // It has three attempts.
        for round in 1..=5 {
            let worker = Working::start(shop.worker(fixture.manager()).grace(ms(1)));
            shop.until_begun(round).await;
            worker.stop().await;
            handed_back(fixture.manager(), ticket).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_worker_ends_when_its_manager_is_shut_down_and_its_calls_stay() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.another_manager());
        let ticket = shop.store_free(7, "slow", Act::HangOnce).await;
        let worker = shop.work(fixture.manager());
        shop.until_inside(1).await;
        soon("the shutdown", fixture.manager().shutdown(ms(200))).await;
        eventually("the worker has ended", SOON, async || !worker.works()).await;
        eventually("the body is dropped", SOON, async || shop.inside() == 0).await;
        let worker = Working::start(shop.worker(fixture.another_manager()));
        done(fixture.another_manager(), ticket).await;
        assert_eq!(shop.runs("slow"), 2);
        no_violation(&shop);
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_shutdown_lets_a_stored_body_end_that_is_done_in_time() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.another_manager());
        let ticket = shop.store_free(7, "gate", Act::Gate).await;
        let worker = shop.work(fixture.manager());
        shop.until_inside(1).await;
        let shutdown = fixture.manager().shutdown(SOON);
        let opens = async {
            tokio::time::sleep(ms(100)).await;
            shop.open(1);
        };
        tokio::join!(shutdown, opens);
        done(fixture.another_manager(), ticket).await;
        assert_eq!((shop.runs("gate"), shop.ended().len()), (1, 1));
        eventually("the worker has ended", SOON, async || !worker.works()).await;
    })
    .await;
}
