//! A stored call's body runs under its lock, like that of a direct call: never beside any other holder.

use lock_tests::{Fixture, each_backend};
use tokio::task::yield_now;

use crate::functions::{ship, ship_around};
use crate::support::{Act, Shop, done, hold, key, ms, no_violation};

#[tokio::test]
async fn a_body_never_runs_while_a_guard_holds_its_lock() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let mut guard = hold(fixture.another_manager(), 7).await;
        shop.closed(7, true);
        let mut tickets = Vec::new();
        for number in 0..25 {
            tickets.push(shop.store(7, &format!("call {number}"), Act::Linger { ms: 1 }).await);
        }
        let one = shop.work(fixture.manager());
        let two = shop.work(fixture.another_manager());
        // The guard is in the race with the calls for each of them.
        for _ in 0..15 {
            tokio::time::sleep(ms(3)).await;
            shop.closed(7, false);
            guard.release().await.unwrap();
            yield_now().await;
            guard = hold(fixture.another_manager(), 7).await;
            shop.closed(7, true);
        }
        shop.closed(7, false);
        guard.release().await.unwrap();
        for ticket in tickets {
            done(fixture.manager(), ticket).await;
        }
        no_violation(&shop);
        one.stop().await;
        two.stop().await;
    })
    .await;
}

#[tokio::test]
async fn stored_and_direct_calls_for_one_key_never_run_side_by_side() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let one = shop.work(fixture.manager());
        let two = shop.work(fixture.another_manager());
        let mut callers = Vec::new();
        for caller in 0..6 {
            let locks = [fixture.manager(), fixture.another_manager()][caller % 2];
            let shop = shop.at(locks);
            callers.push(tokio::spawn(async move {
                let mut tickets = Vec::new();
                for number in 0..8 {
                    let name = format!("{caller}: {number}");
                    let outcome = ship(&shop, 7, name, Act::Linger { ms: 1 }).await.unwrap();
                    tickets.extend(outcome.ticket());
                }
                tickets
            }));
        }
        let mut stored = 0;
        for caller in callers {
            for ticket in caller.await.unwrap() {
                stored += 1;
                done(fixture.manager(), ticket).await;
            }
        }
        assert!(stored > 0, "no call met a taken lock, so this showed nothing");
        let mut ended = shop.ended();
        ended.sort();
        ended.dedup();
        assert_eq!((ended.len(), shop.begun().len()), (48, 48), "each ran once");
        no_violation(&shop);
        one.stop().await;
        two.stop().await;
    })
    .await;
}

#[tokio::test]
async fn the_lock_is_held_while_a_stored_body_runs_by_the_workers_manager_and_free_afterwards() {
    each_backend(async |fixture: Fixture| {
        let (caller, worker) = (fixture.manager(), fixture.another_manager());
        let shop = Shop::on(caller);
        let ticket = shop.store_free(7, "gate", Act::Gate).await;
        let working = shop.work(worker);
        shop.until_inside(1).await;
        let holder = caller.inspect(key(7)).await.unwrap().unwrap();
        assert_eq!(holder.owner(), "two");
        assert!(caller.lock(key(7)).try_acquire().await.unwrap().is_none());
        shop.open(1);
        done(caller, ticket).await;
        let guard = caller.lock(key(7)).wait(ms(5_000)).acquire().await.unwrap();
        guard.release().await.unwrap();
        working.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_stored_body_runs_under_the_lock_of_its_workers_manager_whatever_its_state_has() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let ticket = shop.store_free(7, "gate", Act::Gate).await;
        // The state leads to another namespace.
        let elsewhere = fixture.builder().namespace("elsewhere:").connect().await.unwrap();
        let worker = fixture.another_manager().worker().state(shop.at(&elsewhere));
        let worker = crate::support::Working::start(worker);
        shop.until_inside(1).await;
        let holder = fixture.manager().inspect(key(7)).await.unwrap().unwrap();
        assert_eq!(holder.owner(), "two");
        assert!(elsewhere.inspect(key(7)).await.unwrap().is_none());
        shop.open(1);
        done(fixture.manager(), ticket).await;
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_reentrant_function_that_runs_later_may_call_another_one_for_its_key() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let guard = hold(fixture.another_manager(), 7).await;
        let ticket = ship_around(&shop, 7).await.unwrap().ticket().unwrap();
        let worker = shop.work(fixture.manager());
        guard.release().await.unwrap();
        done(fixture.manager(), ticket).await;
        assert_eq!(shop.ended(), ["inside"]);
        worker.stop().await;
    })
    .await;
}
