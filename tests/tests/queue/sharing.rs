//! Several workers share the calls of a namespace; those of another namespace have no part in it.

use lock_runtime::LockManager;
use lock_tests::{Fixture, each_backend};

use crate::support::{Act, SOON, Shop, Working, counts, done, hold, hold_key, key, no_violation, stored};

#[tokio::test]
async fn two_workers_share_the_calls() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let first = shop.store_free(1, "one", Act::Gate).await;
        let second = shop.store_free(2, "two", Act::Gate).await;
        let one = Working::start(shop.worker(fixture.manager()).concurrency(1));
        let two = Working::start(shop.worker(fixture.another_manager()).concurrency(1));
        shop.until_inside(2).await;
        let mut workers = Vec::new();
        for ticket in [first, second] {
            let call = stored(fixture.manager(), ticket).await;
            workers.push(call.worker().unwrap().to_owned());
        }
        workers.sort();
        assert_eq!(workers, ["one", "two"]);
        shop.open(2);
        done(fixture.manager(), first).await;
        done(fixture.manager(), second).await;
        one.stop().await;
        two.stop().await;
    })
    .await;
}

#[tokio::test]
async fn workers_that_fight_for_a_call_run_it_once() {
    each_backend(async |fixture: Fixture| {
        const CALLS: usize = 40;
        let shop = Shop::on(fixture.manager());
        let mut workers = Vec::new();
        for locks in [
            fixture.manager(),
            fixture.another_manager(),
            fixture.manager(),
            fixture.another_manager(),
        ] {
            workers.push(shop.work(locks));
        }
        let mut tickets = Vec::new();
        for number in 0..CALLS {
            // All workers wait for the one release.
            let order = u64::try_from(number).unwrap();
            tickets.push(
                shop.store_free(order, &format!("call {number}"), Act::Linger { ms: 1 })
                    .await,
            );
        }
        for ticket in tickets {
            done(fixture.manager(), ticket).await;
        }
        for number in 0..CALLS {
            assert_eq!(shop.runs(&format!("call {number}")), 1, "call {number}");
        }
        no_violation(&shop);
        for worker in workers {
            worker.stop().await;
        }
    })
    .await;
}

#[tokio::test]
async fn workers_of_different_namespaces_do_not_see_each_others_calls() {
    each_backend(async |fixture: Fixture| {
        let ours = fixture.builder().namespace("ours:").connect().await.unwrap();
        let theirs = fixture.builder().namespace("theirs:").connect().await.unwrap();
        let (our_shop, their_shop) = (Shop::on(&ours), Shop::on(&theirs));
        let their_worker = their_shop.work(&theirs);
        let our_ticket = our_shop.store_free(7, "ours", Act::Note).await;
        // After it in time, before it in everything else.
        let their_ticket = their_shop.store_free(7, "theirs", Act::Note).await;
        done(&theirs, their_ticket).await;
        assert_eq!((our_shop.runs("ours"), their_shop.runs("ours")), (0, 0));
        assert_eq!(counts(&theirs).await, [0; 4]);
        assert_eq!(theirs.queue().get(our_ticket).await.unwrap(), None);
        let [due, delayed, running, dead] = counts(&ours).await;
        assert_eq!((due + delayed, running, dead), (1, 0, 0));
        let our_worker = our_shop.work(&ours);
        done(&ours, our_ticket).await;
        assert_eq!((our_shop.runs("ours"), their_shop.begun().len()), (1, 1));
        our_worker.stop().await;
        their_worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_lock_of_another_namespace_holds_up_no_call() {
    each_backend(async |fixture: Fixture| {
        let theirs = fixture.builder().namespace("theirs:").connect().await.unwrap();
        let _held = hold_key(&theirs, &key(7)).await;
        let shop = Shop::on(fixture.manager());
        let ticket = shop.store_free(7, "ours", Act::Note).await;
        let worker = shop.work(fixture.manager());
        done(fixture.manager(), ticket).await;
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn an_empty_namespace_has_its_calls_too() {
    each_backend(async |fixture: Fixture| {
        let bare = fixture.builder().namespace("").connect().await.unwrap();
        let shop = Shop::on(&bare);
        let ticket = shop.store_free(7, "bare", Act::Note).await;
        assert_eq!(counts(fixture.manager()).await, [0; 4]);
        let worker = shop.work(&bare);
        done(&bare, ticket).await;
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn what_is_stored_in_this_process_lives_as_long_as_it_does() {
    const URL: &str = "memory://as-long-as-the-process";
    let locks = LockManager::connect(URL).await.unwrap();
    let shop = Shop::on(&locks);
    let guard = hold(&locks, 7).await;
    let ticket = shop.store(7, "later", Act::Note).await;
    guard.release().await.unwrap();
    locks.shutdown(SOON).await;
    // Nobody is left who has anything to do with it.
    drop((shop, locks));

    let locks = LockManager::connect(URL).await.unwrap();
    assert_eq!(counts(&locks).await, [0, 1, 0, 0]);
    let shop = Shop::on(&locks);
    let worker = shop.work(&locks);
    done(&locks, ticket).await;
    assert_eq!(shop.ended(), ["later"]);
    worker.stop().await;
}
