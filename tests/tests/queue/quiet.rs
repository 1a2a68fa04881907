//! A worker that has nothing to do asks next to nothing; who has no worker and stores nothing pays nothing.

use std::time::Duration;

use lock_runtime::LockManager;
use lock_tests::{Proxy, RedisServer};

use crate::functions::ship;
use crate::support::{Act, Shop, Working, hold, key};

/// What is looked at.
const WINDOW: Duration = Duration::from_secs(2);

/// A server, a proxy in front of it, a manager on the proxy and one that is not.
async fn behind_proxy() -> (RedisServer, Proxy, LockManager, LockManager) {
    let server = RedisServer::start();
    let proxy = Proxy::to(&server);
    let watched = LockManager::connect(&proxy.url()).await.unwrap();
    let direct = LockManager::connect(&server.url()).await.unwrap();
    (server, proxy, watched, direct)
}

/// How many requests come in a while, once what was begun has come to rest.
async fn requests(proxy: &Proxy) -> usize {
    tokio::time::sleep(Duration::from_millis(500)).await;
    let before = proxy.requests_with("");
    tokio::time::sleep(WINDOW).await;
    proxy.requests_with("") - before
}

#[tokio::test]
async fn an_idle_worker_makes_no_traffic_to_speak_of() {
    let (_server, proxy, watched, _) = behind_proxy().await;
    let worker = Shop::on(&watched).work(&watched);
    let requests = requests(&proxy).await;
    assert!(requests <= 6, "{requests} requests in {WINDOW:?}");
    worker.stop().await;
}

#[tokio::test]
async fn a_worker_that_waits_for_many_taken_locks_does_not_poll() {
    const CALLS: u64 = 20;
    let (_server, proxy, watched, direct) = behind_proxy().await;
    let shop = Shop::on(&direct);
    let mut guards = Vec::new();
    for order in 0..CALLS {
        guards.push(hold(&direct, order).await);
        shop.store(order, &format!("call {order}"), Act::Note).await;
    }
    let worker = shop.work(&watched);
    let requests = requests(&proxy).await;
    assert!(
        requests <= 20,
        "{requests} requests in {WINDOW:?} for {CALLS} calls that wait"
    );
    assert_eq!(shop.begun(), [""; 0]);
    worker.stop().await;
}

#[tokio::test]
async fn calls_that_find_their_lock_free_send_nothing_to_the_queue() {
    let (server, proxy, watched, _) = behind_proxy().await;
    let shop = Shop::on(&watched);
    ship(&shop, 7, "direct".into(), Act::Note).await.unwrap();
    assert_eq!(proxy.requests_with("{queue:"), 0);
    let queue_keys = |key: &String| key.contains("{queue:");
    assert_eq!(server.keys().iter().filter(|key| queue_keys(key)).count(), 0);
    // Acquire and release, as without a queue.
    let before = proxy.requests_with("lock:order:7");
    ship(&shop, 7, "direct again".into(), Act::Note).await.unwrap();
    assert_eq!(proxy.requests_with("lock:order:7") - before, 2);
    assert!(watched.inspect(key(7)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_queue_that_is_empty_again_leaves_few_keys_behind_for_ever() {
    let server = RedisServer::start();
    let locks = LockManager::connect(&server.url()).await.unwrap();
    let shop = Shop::on(&locks);
    let worker = shop.work(&locks);
    for order in 0..20 {
        let ticket = shop.store_free(order, &format!("call {order}"), Act::Note).await;
        crate::support::done(&locks, ticket).await;
    }
    worker.stop().await;
    // How a call ended is known for ten minutes.
    let mut keys = server.keys();
    keys.retain(|key| server.ttl(key).is_none_or(|ttl| ttl > Duration::from_secs(600)));
    assert!(keys.len() <= 12, "{keys:?}");
    assert!(!keys.iter().any(|key| key.contains("order:")), "{keys:?}");
}

#[tokio::test]
async fn a_worker_without_room_asks_for_no_more() {
    let (_server, proxy, watched, direct) = behind_proxy().await;
    let shop = Shop::on(&direct);
    for order in 0..20 {
        shop.store_free(order, &format!("call {order}"), Act::Gate).await;
    }
    let worker = Working::start(shop.worker(&watched).concurrency(2));
    shop.until_inside(2).await;
    let requests = requests(&proxy).await;
    assert!(requests <= 6, "{requests} requests in {WINDOW:?}");
    shop.open(20);
    worker.stop().await;
}

#[tokio::test]
async fn a_worker_whose_server_is_away_does_not_run_against_the_wall() {
    let (_server, proxy, watched, _) = behind_proxy().await;
    let worker = Shop::on(&watched).work(&watched);
    proxy.refuse(true);
    proxy.cut();
    tokio::time::sleep(WINDOW).await;
    let refused = proxy.refused();
    assert!(refused <= 200, "{refused} connections in {WINDOW:?}");
    assert!(worker.works());
    proxy.refuse(false);
    worker.stop().await;
}
