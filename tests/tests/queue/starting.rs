//! What a worker needs: values for the states of what it runs, settings that can work.

use std::future::{pending, ready};

use lock_runtime::{LockError, Worker};
use lock_tests::{Fixture, each_backend, eventually};

use crate::functions::{ship_by_default, ship_soon, ship_stubbornly, ship_with_receipt};
use crate::support::{Act, LATE, Shop, Working, counts, done, hold, ms, soon};

/// What is wrong with a worker that must not start.
async fn refusal(worker: Worker) -> String {
    let refused = soon("the worker refuses to start", worker.run_until(pending::<()>())).await;
    match refused {
        Err(error @ LockError::InvalidWorker { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_worker_finds_all_functions_by_itself() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let guard = hold(fixture.another_manager(), 7).await;
        shop.store(7, "ship", Act::Note).await;
        ship_soon(&shop, 7, "ship soon".into(), Act::Note).await.unwrap();
        ship_by_default(&shop, 7).await.unwrap();
        ship_with_receipt(&shop, 7).await.unwrap();
        let last = shop.store(7, "last", Act::Note).await;
        let worker = shop.work(fixture.manager());
        guard.release().await.unwrap();
        done(fixture.manager(), last).await;
        assert_eq!(
            shop.ended(),
            ["ship", "ship soon", "by default", "with receipt", "last"]
        );
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_call_whose_state_a_worker_lacks_is_left_to_one_that_has_it() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let guard = hold(fixture.another_manager(), 7).await;
        let outcome = ship_stubbornly(&shop, 7, "call".into(), Act::Note).await.unwrap();
        let ticket = outcome.ticket().expect("the lock is taken");
        guard.release().await.unwrap();
        // A state of another type is none.
        let without = Working::start(fixture.manager().worker().state(7_u32));
        let queue = fixture.manager().queue();
        eventually("it was tried, and what it lacks is told", LATE, async || {
            let call = queue.get(ticket).await.unwrap().expect("it is not over");
            let error = call.last_error().unwrap_or_default();
            call.tried() > 0 && error.contains("Shop") && error.contains(".state(")
        })
        .await;
        without.stop().await;
        let with = shop.work(fixture.another_manager());
        done(fixture.manager(), ticket).await;
        assert_eq!(shop.runs("call"), 1);
        with.stop().await;
    })
    .await;
}

#[tokio::test]
async fn the_last_state_of_a_type_counts() {
    each_backend(async |fixture: Fixture| {
        let (first, last) = (Shop::on(fixture.manager()), Shop::on(fixture.manager()));
        let ticket = first.store_free(7, "call", Act::Note).await;
        let worker = fixture
            .manager()
            .worker()
            .state(first.clone())
            .state(7_u32)
            .state(last.clone());
        let worker = Working::start(worker);
        done(fixture.manager(), ticket).await;
        assert_eq!((first.runs("call"), last.runs("call")), (0, 1));
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_worker_with_a_concurrency_of_zero_refuses_to_start() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let error = refusal(shop.worker(fixture.manager()).concurrency(0)).await;
        assert!(error.contains("`concurrency` is 0"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn a_worker_with_too_short_a_claim_lease_refuses_to_start() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let error = refusal(shop.worker(fixture.manager()).claim_lease(ms(499))).await;
        assert!(error.contains("499ms") && error.contains("500ms"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn a_worker_that_is_to_stop_already_runs_nothing() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        shop.store_free(7, "call", Act::Note).await;
        let worker = shop.worker(fixture.manager());
        soon("it stops", worker.run_until(ready(()))).await.unwrap();
        assert_eq!(counts(fixture.manager()).await[3], 0);
        // It may have been claimed; then it was handed back, or ran to its end.
        assert!(shop.begun().len() == shop.ended().len());
    })
    .await;
}

#[tokio::test]
async fn a_worker_of_a_manager_that_is_shut_down_ends_at_once() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let worker = shop.worker(fixture.manager());
        fixture.manager().shutdown(ms(100)).await;
        // Without work or with an error, but not never.
        let _ = soon("it ends", worker.run_until(pending::<()>())).await;
    })
    .await;
}

#[tokio::test]
async fn a_worker_starts_while_its_backend_is_away_and_works_when_it_comes_back() {
    let mut fixture_server = lock_tests::RedisServer::start();
    let locks = lock_runtime::LockManager::connect(&fixture_server.url()).await.unwrap();
    let shop = Shop::on(&locks);
    fixture_server.kill();
    let worker = shop.work(&locks);
    tokio::time::sleep(ms(300)).await;
    assert!(worker.works());
    fixture_server.restart();
    let other = lock_runtime::LockManager::connect(&fixture_server.url()).await.unwrap();
    let ticket = shop.at(&other).store_free(7, "call", Act::Note).await;
    done(&other, ticket).await;
    worker.stop().await;
}
