//! A server that is killed and comes back, with everything (an append-only file) or with nothing.

use lock_runtime::{CallEnd, DeathCause, LockManager, Ticket};
use lock_tests::{RedisServer, eventually};

use crate::support::{Act, LATE, Shop, counts, dead, done, hold, key, no_violation};

/// A server that loses nothing that it has answered.
fn durable() -> RedisServer {
    RedisServer::start_with(|config| {
        config.set("appendonly", "yes").set("appendfsync", "always");
    })
}

/// The call is done some time; meanwhile the server may be away.
async fn done_some_time(locks: &LockManager, ticket: Ticket) {
    let queue = locks.queue();
    let what = format!("the call {ticket} is done");
    eventually(&what, LATE, async || {
        queue.wait(ticket).await.is_ok_and(|end| end == CallEnd::Done)
    })
    .await;
}

/// Waits until the manager has its connection back.
async fn connected(locks: &LockManager) {
    let queue = locks.queue();
    eventually("the server is back", LATE, async || queue.counts().await.is_ok()).await;
}

#[tokio::test]
async fn nothing_stored_is_lost_by_a_restart_with_an_append_only_file() {
    let mut server = durable();
    let locks = LockManager::connect(&server.url()).await.unwrap();
    let shop = Shop::on(&locks);
    let worker = shop.work(&locks);
    let bad = shop.store_free(9, "bad", Act::Fail("no stock".into())).await;
    dead(&locks, bad).await;
    worker.stop().await;
    let mut tickets = Vec::new();
    for order in 0..4 {
        let guard = hold(&locks, order).await;
        for number in 0..8 {
            tickets.push(shop.store(order, &format!("{order}: {number}"), Act::Note).await);
        }
        guard.release().await.unwrap();
    }
    let before = stored(&locks, &tickets).await;
    server.restart();
    connected(&locks).await;
    let [due, delayed, running, dead] = counts(&locks).await;
    assert_eq!((due + delayed, running, dead), (32, 0, 1));
    assert_eq!(stored(&locks, &tickets).await, before);
    let letter = locks.queue().get(bad).await.unwrap().unwrap();
    assert_eq!(letter.cause(), Some(DeathCause::Failed));
    let worker = shop.work(&locks);
    for ticket in tickets {
        done(&locks, ticket).await;
    }
    for order in 0..4 {
        let mut ended = shop.ended();
        ended.retain(|name| name.starts_with(&format!("{order}: ")));
        let expected: Vec<_> = (0..8).map(|number| format!("{order}: {number}")).collect();
        assert_eq!(ended, expected);
    }
    worker.stop().await;
}

/// What is stored of these calls, but for whether their time has come.
async fn stored(locks: &LockManager, tickets: &[Ticket]) -> Vec<(String, String, std::time::SystemTime)> {
    let mut calls = Vec::new();
    for ticket in tickets {
        let call = locks.queue().get(*ticket).await.unwrap().unwrap();
        calls.push((call.key().to_string(), call.arguments().to_owned(), call.stored_at()));
    }
    calls
}

#[tokio::test]
async fn calls_go_on_in_their_order_when_the_server_restarts_under_a_worker() {
    let mut server = durable();
    let locks = LockManager::connect(&server.url()).await.unwrap();
    let shop = Shop::on(&locks);
    let mut tickets = Vec::new();
    for order in 0..3 {
        let guard = hold(&locks, order).await;
        for number in 0..10 {
            let name = format!("{order}: {number}");
            tickets.push(shop.store_stubborn(order, &name, Act::Linger { ms: 15 }).await);
        }
        guard.release().await.unwrap();
    }
    let worker = shop.work(&locks);
    for begun in [4, 14] {
        let what = format!("{begun} calls have begun");
        eventually(&what, LATE, async || shop.begun().len() >= begun).await;
        server.restart();
    }
    for ticket in tickets {
        done_some_time(&locks, ticket).await;
    }
    for order in 0..3 {
        let prefix = format!("{order}: ");
        let mut begun = shop.begun();
        begun.retain(|name| name.starts_with(&prefix));
        assert!(begun.is_sorted(), "{begun:?}");
        begun.dedup();
        assert_eq!(begun.len(), 10, "{begun:?}");
    }
    no_violation(&shop);
    connected(&locks).await;
    assert_eq!(counts(&locks).await, [0; 4]);
    worker.stop().await;
}

#[tokio::test]
async fn a_call_that_ran_through_a_restart_is_settled_and_runs_once() {
    let mut server = durable();
    let locks = LockManager::connect(&server.url()).await.unwrap();
    let shop = Shop::on(&locks);
    let ticket = shop.store_stubborn_free(7, "call", Act::Gate).await;
    let worker = shop.work(&locks);
    shop.until_inside(1).await;
    server.restart();
    shop.open(1);
    done_some_time(&locks, ticket).await;
    assert_eq!(shop.runs("call"), 1);
    worker.stop().await;
}

#[tokio::test]
async fn a_worker_goes_on_with_what_comes_when_the_server_has_forgotten_everything() {
    let mut server = RedisServer::start();
    let locks = LockManager::connect(&server.url()).await.unwrap();
    let shop = Shop::on(&locks);
    let worker = shop.work(&locks);
    let _held = hold(&locks, 1).await;
    let lost = shop.store(1, "lost", Act::Note).await;
    server.restart();
    connected(&locks).await;
    assert_eq!(locks.queue().wait(lost).await.unwrap(), CallEnd::Unknown);
    let ticket = shop.store_stubborn_free(7, "comes", Act::Note).await;
    done_some_time(&locks, ticket).await;
    assert_eq!(shop.begun(), ["comes"]);
    worker.stop().await;
}

#[tokio::test]
async fn scripts_that_the_server_forgot_are_sent_again() {
    let server = RedisServer::start();
    let locks = LockManager::connect(&server.url()).await.unwrap();
    let shop = Shop::on(&locks);
    let worker = shop.work(&locks);
    for round in 0..4 {
        server.cli(&["SCRIPT", "FLUSH"]);
        let act = [Act::Note, Act::Fail("no stock".into())][round % 2].clone();
        let ticket = shop.store_stubborn_free(7, "call", act).await;
        server.cli(&["SCRIPT", "FLUSH"]);
        crate::support::end(&locks, ticket).await;
    }
    assert_eq!(counts(&locks).await, [0, 0, 0, 2]);
    assert!(locks.inspect(key(7)).await.unwrap().is_none());
    worker.stop().await;
}
