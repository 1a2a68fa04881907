//! A server that answers, and refuses: storing is unavailable, and what runs can still be settled.

use std::time::Instant;

use lock_runtime::{CallEnd, LockManager};
use lock_tests::server::unused_port;
use lock_tests::{Fixture, RedisServer, eventually};

use crate::functions::ship;
use crate::support::{ANSWER, Act, LATE, SOON, Shop, ShopError, Working, counts, dead, done, end, hold, ms, waiting};

fn out_of_memory(server: &RedisServer) {
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    assert!(server.try_cli(&["SET", "a", "b"]).unwrap_err().contains("OOM"));
}

fn memory_again(server: &RedisServer) {
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
}

/// A call is unavailable within 5 s, and its body does not run.
async fn unavailable(shop: &Shop, order: u64) {
    let begun = Instant::now();
    let error = ship(shop, order, "refused".into(), Act::Note).await.unwrap_err();
    assert!(begun.elapsed() <= ANSWER, "it took {:?}", begun.elapsed());
    assert!(
        matches!(&error, ShopError::Lock(error) if error.is_unavailable()),
        "{error:?}"
    );
    assert_eq!(shop.runs("refused"), 0);
}

#[tokio::test]
async fn storing_is_unavailable_when_the_server_is_out_of_memory_and_nothing_is_stored() {
    let fixture = Fixture::redis().await;
    let (server, shop) = (fixture.server().unwrap(), Shop::on(fixture.manager()));
    let _held = hold(fixture.another_manager(), 7).await;
    out_of_memory(server);
    unavailable(&shop, 7).await;
    memory_again(server);
    assert_eq!(counts(fixture.manager()).await, [0; 4]);
    shop.store(7, "stored", Act::Note).await;
    assert_eq!(counts(fixture.manager()).await, [0, 1, 0, 0]);
}

#[tokio::test]
async fn a_server_that_refuses_the_storing_itself_is_unavailable() {
    let fixture = Fixture::redis().await;
    let (server, shop) = (fixture.server().unwrap(), Shop::on(fixture.manager()));
    let _held = hold(fixture.another_manager(), 7).await;
    // The lock may be asked for; what may not be written are the keys of the queue.
    let rules = ["on", "nopass", "~lock:*", "~distributed-lock:*fence*", "&*", "+@all"];
    let mut command = vec!["ACL", "SETUSER", "default", "reset"];
    command.extend(rules);
    server.cli(&command);
    let locks = fixture.builder().connect().await.unwrap();
    let begun = Instant::now();
    let error = ship(&shop.at(&locks), 7, "refused".into(), Act::Note)
        .await
        .unwrap_err();
    assert!(begun.elapsed() <= ANSWER, "it took {:?}", begun.elapsed());
    assert!(
        matches!(&error, ShopError::Lock(error) if error.is_unavailable()),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_call_that_runs_can_be_settled_when_the_server_is_out_of_memory() {
    let fixture = Fixture::redis().await;
    let (server, shop) = (fixture.server().unwrap(), Shop::on(fixture.manager()));
    let ticket = shop.store_stubborn_free(7, "call", Act::Gate).await;
    let worker = shop.work(fixture.manager());
    shop.until_inside(1).await;
    out_of_memory(server);
    shop.open(1);
    eventually("the call is settled", SOON, async || {
        counts(fixture.another_manager()).await == [0; 4]
    })
    .await;
    assert_eq!(end(fixture.another_manager(), ticket).await, CallEnd::Done);
    assert_eq!(shop.runs("call"), 1);
    memory_again(server);
    worker.stop().await;
}

#[tokio::test]
async fn a_call_that_runs_keeps_its_claim_when_the_server_is_out_of_memory() {
    let fixture = Fixture::redis().await;
    let (server, shop) = (fixture.server().unwrap(), Shop::on(fixture.manager()));
    let ticket = shop.store_stubborn_free(7, "slow", Act::Gate).await;
    // It is kept also on a machine that stands still for a second.
    let lease = ms(1_500);
    let one = Working::start(shop.worker(fixture.manager()).claim_lease(lease));
    shop.until_inside(1).await;
    out_of_memory(server);
    let two = Working::start(shop.worker(fixture.another_manager()).claim_lease(lease));
    let claimed = async || {
        let call = fixture.manager().queue().get(ticket).await.unwrap().unwrap();
        assert_eq!((call.worker(), call.tried()), (Some("one"), 0));
        call.claimed_until().unwrap()
    };
    // Kept for longer than one lease.
    let end = claimed().await + 2 * lease;
    eventually("it is kept", SOON, async || claimed().await > end).await;
    shop.open(1);
    done(fixture.manager(), ticket).await;
    assert_eq!(shop.runs("slow"), 1);
    memory_again(server);
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn waiting_calls_run_when_the_server_has_memory_again() {
    let fixture = Fixture::redis().await;
    let (server, shop) = (fixture.server().unwrap(), Shop::on(fixture.manager()));
    let good = shop.store_stubborn_free(7, "good", Act::Note).await;
    let bad = shop.store_stubborn_free(8, "bad", Act::Fail("no stock".into())).await;
    out_of_memory(server);
    let worker = shop.work(fixture.manager());
    unavailable(&shop, 9).await;
    assert_eq!(shop.begun(), [""; 0]);
    memory_again(server);
    let ended = async || waiting(fixture.another_manager()).await == 0;
    eventually("both have ended", LATE, ended).await;
    done(fixture.manager(), good).await;
    dead(fixture.manager(), bad).await;
    worker.stop().await;
}

#[tokio::test]
async fn a_server_that_is_a_replica_now_is_unavailable_and_runs_the_calls_when_it_is_none() {
    let server = RedisServer::start();
    let locks = LockManager::connect(&server.url()).await.unwrap();
    let shop = Shop::on(&locks);
    let ticket = shop.store_stubborn_free(7, "call", Act::Note).await;
    server.cli(&["REPLICAOF", "127.0.0.1", &unused_port().to_string()]);
    let worker = shop.work(&locks);
    unavailable(&shop, 9).await;
    assert_eq!(shop.begun(), [""; 0]);
    server.cli(&["REPLICAOF", "NO", "ONE"]);
    let queue = locks.queue();
    eventually("the call has run", LATE, async || {
        queue.get(ticket).await.is_ok_and(|call| call.is_none())
    })
    .await;
    done(&locks, ticket).await;
    worker.stop().await;
}
