//! A client that knows nothing of the line: `SET key token NX PX` and compare-and-delete, by hand.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lock_runtime::{LockManager, current};
use lock_tests::{RedisServer, eventually};

use crate::support::{LATE, LONG, Room, SOON, Waiting, all_served, ask, hold, job, soon, until_in_line, usual, within};

const DELETE: &str =
    "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end";

async fn connect(server: &RedisServer) -> LockManager {
    LockManager::connect(&server.url()).await.unwrap()
}

/// Calls with the usual re-checks, because a foreign client wakes nobody.
fn waiters(locks: &LockManager) -> Vec<Waiting> {
    (0..10).map(|_| ask(locks.lock("job").ttl(LONG).wait(LONG))).collect()
}

#[tokio::test]
async fn a_foreign_client_that_frees_its_lock_in_silence_does_not_stall_the_line() {
    let server = RedisServer::start();
    for locks in [connect(&server).await, connect(&server).await] {
        assert_eq!(server.cli(&["SET", "lock:job", "foreign", "NX", "PX", "60000"]), "OK");
        let waiting = waiters(&locks);
        until_in_line(&server, 1).await;
        assert_eq!(server.cli(&["EVAL", DELETE, "1", "lock:job", "foreign"]), "1");
        let served = within(SOON, "the waiters go on", all_served(waiting, &Room::default())).await;
        assert_eq!(served, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }
}

#[tokio::test]
async fn a_foreign_lock_without_a_ttl_is_waited_for_until_it_is_deleted() {
    let server = RedisServer::start();
    let locks = connect(&server).await;
    server.cli(&["SET", "lock:job", "foreign"]);
    let mut waiting = waiters(&locks);
    let early = tokio::time::timeout(SOON, &mut waiting[0]).await;
    assert!(early.is_err(), "a foreign lock was taken");
    assert_eq!(server.get("lock:job").as_deref(), Some("foreign"));
    assert_eq!(server.ttl("lock:job"), None, "a foreign lock was given a ttl");
    server.cli(&["DEL", "lock:job"]);
    let served = within(SOON, "the waiters go on", all_served(waiting, &Room::default())).await;
    assert_eq!(served, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
}

#[tokio::test]
async fn a_foreign_lock_that_expires_wakes_the_line() {
    let server = RedisServer::start();
    let locks = connect(&server).await;
    server.cli(&["SET", "lock:job", "foreign", "NX", "PX", "1500"]);
    let before = Instant::now();
    let waiting = (0..10).map(|_| ask(job(&locks))).collect();
    let served = within(
        Duration::from_millis(1500) + SOON,
        "the line goes on",
        all_served(waiting, &Room::default()),
    )
    .await;
    assert_eq!(served, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert!(before.elapsed() > Duration::from_millis(1400));
}

#[tokio::test]
async fn a_foreign_client_cannot_take_what_we_hold_however_often_it_is_passed_on() {
    const MANY: usize = 40;
    let server = Arc::new(RedisServer::start());
    let locks = connect(&server).await;
    let guard = hold(&locks).await;
    let waiting: Vec<_> = (0..MANY).map(|_| ask(usual(&locks))).collect();
    until_in_line(&server, 1).await;
    let shared: Arc<Shared> = Arc::default();
    let foreign = shared.foreign_client(&server, "lock:job");
    guard.release().await.unwrap();
    let calls = waiting.into_iter().map(|call| {
        let shared = &shared;
        async move {
            let guard = call.await.unwrap();
            shared.enter("one of ours");
            tokio::time::sleep(Duration::from_millis(2)).await;
            guard.lease().ensure_held().unwrap();
            shared.leave();
            guard.release().await.unwrap();
        }
    });
    let begun = Instant::now();
    within(LATE, "all are served", futures_util::future::join_all(calls)).await;
    let between = shared.foreign.load(Ordering::SeqCst);
    println!(
        "{MANY} were served within {:?}; the foreign client came in between {between} times",
        begun.elapsed()
    );
    shared.end.store(true, Ordering::SeqCst);
    tokio::task::spawn_blocking(|| foreign.join().unwrap()).await.unwrap();
}

/// What all of them want: who is in it, ours or foreign.
#[derive(Default)]
struct Shared {
    inside: Mutex<Option<&'static str>>,
    ours: AtomicUsize,
    foreign: AtomicUsize,
    end: AtomicBool,
}

impl Shared {
    fn enter(&self, who: &'static str) {
        let before = self.inside.lock().unwrap().replace(who);
        assert_eq!(before, None, "{who} is not alone");
    }

    fn leave(&self) {
        *self.inside.lock().unwrap() = None;
    }

    /// One that takes the lock over and over, until the end.
    fn foreign_client(self: &Arc<Shared>, server: &Arc<RedisServer>, key: &'static str) -> JoinHandle<()> {
        let (server, shared) = (Arc::clone(server), Arc::clone(self));
        std::thread::spawn(move || {
            while !shared.end.load(Ordering::SeqCst) {
                let token = format!("foreign {}", shared.foreign.load(Ordering::SeqCst));
                if server.cli(&["SET", key, &token, "NX", "PX", "600000"]) == "OK" {
                    shared.enter("a foreign client");
                    std::thread::sleep(Duration::from_millis(1));
                    shared.leave();
                    let deleted = server.cli(&["EVAL", DELETE, "1", key, &token]);
                    assert_eq!(deleted, "1", "its lock was taken from it");
                    shared.foreign.fetch_add(1, Ordering::SeqCst);
                }
            }
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_clients_and_ours_exclude_each_other_and_both_go_on() {
    let server = Arc::new(RedisServer::start());
    let shared: Arc<Shared> = Arc::default();
    let connect = || LockManager::builder().url(server.url()).namespace("").connect();
    let managers = [connect().await.unwrap(), connect().await.unwrap()];
    let ours: Vec<_> = (0..6)
        .map(|number| {
            let (locks, shared) = (managers[number % 2].clone(), Arc::clone(&shared));
            tokio::spawn(async move {
                while !shared.end.load(Ordering::SeqCst) {
                    let body = async {
                        assert!(current().unwrap().is_held());
                        shared.enter("one of ours");
                        tokio::time::sleep(Duration::from_millis(1)).await;
                        shared.leave();
                    };
                    locks.lock("job").ttl(LONG).wait(LONG).run(body).await.unwrap();
                    shared.ours.fetch_add(1, Ordering::SeqCst);
                    // A gap, now and then, in which nobody of ours wants it.
                    tokio::time::sleep(Duration::from_millis(30)).await;
                }
            })
        })
        .collect();
    let foreign = shared.foreign_client(&server, "job");
    eventually("both go on", LATE, async || {
        shared.ours.load(Ordering::SeqCst) > 100 && shared.foreign.load(Ordering::SeqCst) > 10
    })
    .await;
    shared.end.store(true, Ordering::SeqCst);
    for task in ours {
        within(SOON * 2, "one of ours ends", task).await.unwrap();
    }
    tokio::task::spawn_blocking(|| foreign.join().unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_key_of_another_type_is_an_error_for_all_who_come_and_is_left_alone() {
    let server = RedisServer::start();
    let locks = connect(&server).await;
    server.cli(&["RPUSH", "lock:job", "a"]);
    let calls = (0..20).map(|_| job(&locks).acquire());
    for answer in soon("all are answered", futures_util::future::join_all(calls)).await {
        let error = answer.unwrap_err();
        assert!(!error.is_conflict() && !error.is_lost(), "{error:?}");
    }
    assert_eq!(server.cli(&["LRANGE", "lock:job", "0", "-1"]), "a");
    server.cli(&["DEL", "lock:job"]);
    hold(&locks).await.release().await.unwrap();
}
