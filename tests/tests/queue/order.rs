//! Calls for one key run in the order in which they were stored; different keys run side by side, so many at a time as
//! the worker may.

use lock_tests::{Fixture, each_backend, eventually};

use crate::functions::ship_soon;
use crate::support::{Act, SOON, Shop, counts, dead, done, hold, ms, no_violation, soon};

/// `prefix 0`, `prefix 1`, …
fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix} {number}")).collect()
}

#[tokio::test]
async fn calls_for_one_key_run_in_the_order_in_which_they_were_stored() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let guard = hold(fixture.another_manager(), 7).await;
        let names = names("call", 30);
        let mut last = None;
        for (number, name) in names.iter().enumerate() {
            // From several replicas.
            let caller = shop.at([fixture.manager(), fixture.another_manager()][number % 2]);
            last = Some(caller.store(7, name, Act::Note).await);
        }
        let worker = shop.work(fixture.manager());
        guard.release().await.unwrap();
        done(fixture.manager(), last.unwrap()).await;
        assert_eq!(shop.ended(), names);
        no_violation(&shop);
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn the_order_stands_when_several_workers_share_the_calls_of_a_key() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let guard = hold(fixture.another_manager(), 7).await;
        let names = names("call", 30);
        let mut last = None;
        for name in &names {
            last = Some(shop.store(7, name, Act::Linger { ms: 1 }).await);
        }
        let one = shop.work(fixture.manager());
        let two = shop.work(fixture.another_manager());
        guard.release().await.unwrap();
        done(fixture.manager(), last.unwrap()).await;
        assert_eq!(shop.begun(), names);
        assert_eq!(shop.ended(), names);
        no_violation(&shop);
        one.stop().await;
        two.stop().await;
    })
    .await;
}

#[tokio::test]
async fn the_order_stands_when_functions_with_different_delays_share_a_key() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let guard = hold(fixture.another_manager(), 7).await;
        shop.store(7, "with a long delay", Act::Note).await;
        let soon = ship_soon(&shop, 7, "with a short delay".into(), Act::Note).await;
        let last = shop.store(7, "with a long delay again", Act::Note).await;
        assert!(soon.unwrap().ticket().is_some());
        let worker = shop.work(fixture.manager());
        guard.release().await.unwrap();
        done(fixture.manager(), last).await;
        assert_eq!(
            shop.ended(),
            ["with a long delay", "with a short delay", "with a long delay again"]
        );
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn the_order_stands_when_a_call_waits_for_its_next_attempt() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let guard = hold(fixture.another_manager(), 7).await;
        let first = ship_soon(&shop, 7, "first".into(), Act::Note).await.unwrap();
        let first = first.ticket().unwrap();
        let second = shop.store(7, "second", Act::Note).await;
        let worker = shop.work(fixture.manager());
        let queue = fixture.manager().queue();
        eventually("the first call was tried in vain", SOON, async || {
            queue.get(first).await.unwrap().is_some_and(|call| call.tried() > 0)
        })
        .await;
        guard.release().await.unwrap();
        done(fixture.manager(), second).await;
        assert_eq!(shop.ended(), ["first", "second"]);
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn the_order_stands_for_each_of_many_keys() {
    each_backend(async |fixture: Fixture| {
        const KEYS: u64 = 5;
        let shop = Shop::on(fixture.manager());
        let mut guards = Vec::new();
        for order in 0..KEYS {
            guards.push(hold(fixture.another_manager(), order).await);
        }
        let mut tickets = Vec::new();
        for number in 0..10 {
            for order in 0..KEYS {
                tickets.push(
                    shop.store(order, &format!("{order}: {number}"), Act::Linger { ms: 1 })
                        .await,
                );
            }
        }
        let one = shop.work(fixture.manager());
        let two = shop.work(fixture.another_manager());
        for guard in guards {
            guard.release().await.unwrap();
        }
        for ticket in tickets {
            done(fixture.manager(), ticket).await;
        }
        for order in 0..KEYS {
            let prefix = format!("{order}: ");
            let mut ended = shop.ended();
            ended.retain(|name| name.starts_with(&prefix));
            let expected: Vec<_> = (0..10).map(|number| format!("{order}: {number}")).collect();
            assert_eq!(ended, expected);
        }
        no_violation(&shop);
        one.stop().await;
        two.stop().await;
    })
    .await;
}

#[tokio::test]
async fn different_keys_run_side_by_side() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        for order in 0..4 {
            shop.store_free(order, &format!("call {order}"), Act::Gate).await;
        }
        let worker = shop.work(fixture.manager());
        shop.until_inside(4).await;
        assert_eq!(counts(fixture.another_manager()).await, [0, 0, 4, 0]);
        shop.open(4);
        shop.until_inside(0).await;
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn no_more_bodies_than_the_workers_concurrency_run_at_once() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let mut tickets = Vec::new();
        for order in 0..12 {
            tickets.push(
                shop.store_free(order, &format!("call {order}"), Act::Linger { ms: 10 })
                    .await,
            );
        }
        let worker = shop.worker(fixture.manager()).concurrency(3);
        let worker = crate::support::Working::start(worker);
        for ticket in tickets {
            done(fixture.manager(), ticket).await;
        }
        assert_eq!(shop.most_inside(), 3);
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn sixteen_bodies_run_at_once_unless_set() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        for order in 0..18 {
            shop.store_free(order, &format!("call {order}"), Act::Gate).await;
        }
        let worker = shop.work(fixture.manager());
        shop.until_inside(16).await;
        shop.open(18);
        soon("all end", async {
            while shop.ended().len() < 18 {
                tokio::time::sleep(ms(5)).await;
            }
        })
        .await;
        assert_eq!(shop.most_inside(), 16);
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_call_whose_lock_is_taken_holds_up_no_other_key_even_at_concurrency_one() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let guard = hold(fixture.another_manager(), 1).await;
        let first = ship_soon(&shop, 1, "held up".into(), Act::Note).await.unwrap();
        let worker = shop.worker(fixture.manager()).concurrency(1);
        let worker = crate::support::Working::start(worker);
        let other = shop.store_free(2, "free", Act::Note).await;
        done(fixture.manager(), other).await;
        assert_eq!(shop.ended(), ["free"]);
        guard.release().await.unwrap();
        done(fixture.manager(), first.ticket().unwrap()).await;
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_poison_call_holds_up_neither_other_keys_nor_later_calls_of_its_own() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let (one, two) = (
            hold(fixture.another_manager(), 1).await,
            hold(fixture.another_manager(), 2).await,
        );
        let fails = shop.store(1, "fails", Act::Fail("no stock".into())).await;
        let panics = shop.store(1, "panics", Act::Panic("no sense".into())).await;
        let good = shop.store(1, "good", Act::Note).await;
        let other = shop.store(2, "other", Act::Note).await;
        let worker = shop.work(fixture.manager());
        two.release().await.unwrap();
        done(fixture.manager(), other).await;
        one.release().await.unwrap();
        dead(fixture.manager(), fails).await;
        dead(fixture.manager(), panics).await;
        done(fixture.manager(), good).await;
        assert_eq!(shop.ended(), ["other", "good"]);
        assert_eq!(counts(fixture.manager()).await, [0, 0, 0, 2]);
        worker.stop().await;
    })
    .await;
}
