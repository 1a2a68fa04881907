//! A network that comes and goes: two are never inside, and nothing is left behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use lock_runtime::LockManager;
use lock_tests::{Proxy, RedisServer, eventually};

use crate::support::{LATE, LONG, SOON};

/// How long the network flaps.
const FLAPPING: Duration = Duration::from_secs(4);
const KEYS: usize = 3;

/// Holds locks over and over until `end`; counts its holds.
async fn holds(manager: LockManager, number: usize, end: Arc<AtomicBool>, inside: Arc<[AtomicU32; KEYS]>) -> u32 {
    let mut held = 0;
    let mut key = number;
    while !end.load(Ordering::SeqCst) {
        key = (key + 1) % KEYS;
        let body = async {
            assert_eq!(inside[key].fetch_add(1, Ordering::SeqCst), 0, "two are inside");
            tokio::time::sleep(Duration::from_millis(1)).await;
            inside[key].fetch_sub(1, Ordering::SeqCst);
        };
        match manager.lock(format!("job:{key}")).ttl(LONG).wait(SOON).run(body).await {
            Ok(()) => held += 1,
            Err(error) => assert!(error.is_unavailable() || error.is_conflict(), "{error:?}"),
        }
    }
    held
}

/// Lets `flap` happen again and again while four tasks use the network and four do not.
async fn two_are_never_inside(flap: impl Fn(&Proxy, u32)) -> Proxy {
    let server = RedisServer::start();
    let proxy = Proxy::to(&server);
    let near = LockManager::connect(&server.url()).await.unwrap();
    let far = LockManager::connect(&proxy.url()).await.unwrap();
    let end = Arc::new(AtomicBool::new(false));
    let inside: Arc<[AtomicU32; KEYS]> = Arc::default();
    let tasks: Vec<_> = (0..8)
        .map(|number| {
            let manager = if number % 2 == 0 { &near } else { &far };
            tokio::spawn(holds(manager.clone(), number, Arc::clone(&end), Arc::clone(&inside)))
        })
        .collect();
    let start = Instant::now();
    let mut round = 0;
    eventually("the network flapped for a while", FLAPPING + LATE, async || {
        round += 1;
        flap(&proxy, round);
        // The rhythm of the fault, not a wait for anything.
        tokio::time::sleep(Duration::from_millis(20)).await;
        start.elapsed() > FLAPPING
    })
    .await;
    proxy.thaw();
    end.store(true, Ordering::SeqCst);
    let mut held = Vec::new();
    for task in tasks {
        held.push(task.await.unwrap());
    }
    println!(
        "holds of each task: {held:?}, {} connections, {} lost replies",
        proxy.connections(),
        proxy.lost_replies()
    );
    // With a ttl of ten minutes, one orphan would have stopped them all.
    assert!(held.iter().sum::<u32>() > 10, "{held:?}");
    eventually("all are free", LATE, async || {
        server.cli(&["KEYS", "lock:*"]).is_empty()
    })
    .await;
    proxy
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_are_never_inside_while_connections_are_cut() {
    let proxy = two_are_never_inside(|proxy, round| {
        if round % 5 == 0 {
            proxy.cut();
        }
    })
    .await;
    assert!(proxy.connections() > 10, "{} connections", proxy.connections());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_are_never_inside_while_replies_are_lost() {
    let proxy = two_are_never_inside(|proxy, _| proxy.lose_reply_to("lock:job")).await;
    assert!(proxy.lost_replies() > 10, "{} lost replies", proxy.lost_replies());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_are_never_inside_while_everything_is_held_back_now_and_then() {
    two_are_never_inside(|proxy, round| if round % 20 < 10 { proxy.freeze() } else { proxy.thaw() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_are_never_inside_while_everything_is_held_back_for_longer_than_calls_wait() {
    // Calls are given up meanwhile; what they sent arrives later, from several connections at once.
    two_are_never_inside(|proxy, round| match round {
        10 => proxy.freeze(),
        170 => proxy.thaw(),
        _ => {}
    })
    .await;
}
