//! All times of stored calls on Redis are the server's: a client's clock that is wrong moves nothing.
//!
//! No test can turn this machine's clock. So these hold the two facts that make it not matter: what is stored follows
//! the server's `TIME`, and no client sends a time of its own.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lock_runtime::LockManager;
use lock_tests::{Fixture, Proxy, RedisServer};

use crate::functions::{ship_hastily, ship_soon};
use crate::support::{Act, Shop, Working, dead, done, hold, hold_key, ms, stored};

/// The server's clock.
fn server_time(server: &RedisServer) -> SystemTime {
    let time = server.cli(&["TIME"]);
    let mut parts = time.lines().map(|part| part.parse::<u64>().unwrap());
    let (seconds, micros) = (parts.next().unwrap(), parts.next().unwrap());
    UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_micros(micros)
}

#[tokio::test]
async fn the_times_of_a_call_are_the_servers() {
    let fixture = Fixture::redis().await;
    let (server, shop) = (fixture.server().unwrap(), Shop::on(fixture.manager()));
    let guard = hold(fixture.another_manager(), 7).await;
    // The resolution is a millisecond.
    let before = server_time(server) - ms(1);
    let ticket = shop.store(7, "call", Act::Fail("no stock".into())).await;
    let after = server_time(server);
    let call = stored(fixture.manager(), ticket).await;
    assert!(before <= call.stored_at() && call.stored_at() <= after);
    let worker = shop.work(fixture.manager());
    let before = server_time(server) - ms(1);
    guard.release().await.unwrap();
    let call = dead(fixture.manager(), ticket).await;
    let died = call.died_at().unwrap();
    assert!(before <= died && died <= server_time(server));
    worker.stop().await;
}

#[tokio::test]
async fn no_client_sends_a_time_of_its_own() {
    let server = RedisServer::start();
    let proxy = Proxy::to(&server);
    let locks = LockManager::connect(&proxy.url()).await.unwrap();
    let shop = Shop::on(&locks);
    let worker = Working::start(shop.worker(&locks).claim_lease(ms(500)));
    // Stored, woken, claimed, kept for longer than its lease, settled; tried in vain, exhausted, sent back, cancelled.
    let good = shop.store_free(1, "good", Act::Linger { ms: 900 }).await;
    done(&locks, good).await;
    let guard = hold_key(&locks, "hasty:2").await;
    let lost = ship_hastily(&shop, 2, "lost".into(), Act::HangOnce).await.unwrap();
    guard.release().await.unwrap();
    done(&locks, lost.ticket().unwrap()).await;
    let _held = hold(&locks, 3).await;
    let hopeless = ship_soon(&shop, 3, "hopeless".into(), Act::Note).await.unwrap();
    let hopeless = hopeless.ticket().unwrap();
    dead(&locks, hopeless).await;
    assert!(locks.queue().send_back(hopeless).await.unwrap());
    locks.queue().counts().await.unwrap();
    worker.stop().await;

    // Seconds, milliseconds and microseconds begin with the same digits; six of them stand for three hours.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    for clock in [now, now - 3_600, now + 3_600] {
        let digits = (clock / 10_000).to_string();
        let sent = proxy.requests_with(&format!("\n{digits}"));
        assert_eq!(sent, 0, "{sent} requests have an argument that looks like a time");
    }
    assert!(
        proxy.requests_with("{queue:") > 10,
        "too little was sent for this to show anything"
    );
}
