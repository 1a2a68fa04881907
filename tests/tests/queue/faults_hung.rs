//! A server, or a worker, that stands still for a while and then goes on.

use std::time::Instant;

use lock_runtime::{CallEnd, LockManager};
use lock_tests::{Fixture, Proxy, RedisServer, eventually};

use crate::child::{Child, record, stored, stored_calls};
use crate::support::{Act, LATE, SOON, Shop, Working, counts, ms, no_violation};

#[tokio::test]
async fn a_worker_stops_in_time_though_its_server_hangs() {
    let fixture = Fixture::redis().await;
    let server = fixture.server().unwrap();
    let shop = Shop::on(fixture.manager());
    let worker = shop.worker(fixture.manager()).grace(ms(500));
    let worker = Working::start(worker);
    let ticket = shop.store_stubborn_free(7, "call", Act::Gate).await;
    shop.until_inside(1).await;
    server.pause();
    shop.open(1);
    let begun = Instant::now();
    worker.stop().await;
    assert!(begun.elapsed() < SOON);
    server.resume();
    // Told late, or not at all: then it runs once more when its claim is over.
    let locks = fixture.another_manager();
    let queue = locks.queue();
    eventually("the server answers", LATE, async || queue.get(ticket).await.is_ok()).await;
    assert_eq!(shop.ended(), ["call"]);
}

#[tokio::test]
async fn a_server_that_hangs_for_longer_than_every_lease_lets_no_two_bodies_run_at_once() {
    let server = RedisServer::start();
    let builder = || LockManager::builder().url(server.url());
    let (one, two) = (builder().connect().await.unwrap(), builder().connect().await.unwrap());
    let shop = Shop::on(&one);
    let mut tickets = Vec::new();
    for order in 0..3 {
        let guard = crate::support::hold_key(&one, &format!("hasty:{order}")).await;
        for number in 0..3 {
            let call =
                crate::functions::ship_hastily(&shop, order, format!("{order}: {number}"), Act::Linger { ms: 100 });
            tickets.push(call.await.unwrap().ticket().unwrap());
        }
        guard.release().await.unwrap();
    }
    let workers = [&one, &two].map(|locks| {
        let worker = shop.worker(locks).claim_lease(ms(500));
        Working::start(worker)
    });
    shop.until_begun(2).await;
    server.pause();
    // Locks and claims are over by then.
    tokio::time::sleep(ms(1_200)).await;
    server.resume();
    let queue = one.queue();
    for ticket in tickets {
        let ended = async || {
            let end = queue.wait(ticket).await;
            matches!(end, Ok(CallEnd::Done | CallEnd::Dead { .. }))
        };
        eventually("the call has ended", LATE, ended).await;
    }
    no_violation(&shop);
    let [due, delayed, running, _] = counts(&one).await;
    assert_eq!((due, delayed, running), (0, 0, 0));
    for worker in workers {
        worker.stop().await;
    }
}

#[test]
fn a_worker_that_slept_for_longer_than_its_claim_neither_ends_nor_repeats_what_another_one_did() {
    let server = RedisServer::start();
    let namespace = "sleeper:";
    let tickets = stored(&server, namespace, 1, &["call", "next"]);
    let mut sleeper = Child::work_that_waits(&server.url(), &server, namespace);
    assert_eq!(sleeper.line(), "begins call");
    sleeper.pause();
    let survivor = Child::work(&server.url(), &server, namespace);
    lock_tests::eventually_blocking("another one did it", LATE, || stored_calls(&server, namespace) == 0);
    assert_eq!(
        record(&server, namespace),
        ["begins call", "begins call", "ends call", "begins next", "ends next"]
    );
    sleeper.resume();
    sleeper.let_go();
    // It finds its lease lost, and its call ended; it works on.
    survivor.finish();
    let third = stored(&server, namespace, 1, &["third"]);
    assert_eq!((tickets.len(), third.len()), (2, 1));
    sleeper.let_go();
    lock_tests::eventually_blocking("the sleeper works on", LATE, || {
        sleeper.let_go();
        stored_calls(&server, namespace) == 0
    });
    let record = record(&server, namespace);
    let begun = |name: &str| record.iter().filter(|line| **line == format!("begins {name}")).count();
    assert_eq!((begun("call"), begun("next"), begun("third")), (2, 1, 1), "{record:?}");
    sleeper.finish();
}

#[tokio::test]
async fn a_worker_that_was_cut_off_before_the_body_does_not_run_what_another_one_has_done() {
    let server = RedisServer::start();
    let proxy = Proxy::to(&server);
    let cut_off = LockManager::connect(&proxy.url()).await.unwrap();
    let direct = LockManager::connect(&server.url()).await.unwrap();
    let shop = Shop::on(&direct);
    let ticket = shop.store_stubborn_free(7, "call", Act::Note).await;
    eventually("its time has come", SOON, async || counts(&direct).await[0] == 1).await;
    // It claims the call, and asks for the lock; that does not arrive until it has lost its claim.
    proxy.freeze_before_the(1, "lock:order:7");
    let late = Working::start(shop.worker(&cut_off).claim_lease(ms(500)));
    eventually("it asks for the lock", SOON, async || proxy.is_frozen()).await;
    let claimed = direct.queue().get(ticket).await.unwrap().unwrap();
    assert!(claimed.claimed_until().is_some(), "{claimed:?}");
    let other = shop.work(&direct);
    crate::support::done(&direct, ticket).await;
    other.stop().await;
    let before = proxy.requests_with("lock:order:7");
    proxy.thaw();
    let released = async || {
        let asked_again = proxy.requests_with("lock:order:7") > before;
        asked_again && direct.inspect("order:7").await.unwrap().is_none()
    };
    eventually("it has given the lock back", SOON, released).await;
    late.stop().await;
    assert_eq!(shop.runs("call"), 1);
    no_violation(&shop);
}
