//! A wake-up that is lost costs a bounded re-check, and an expiry needs none.

use std::time::{Duration, Instant};

use lock_runtime::{LockGuard, LockManager, LockManagerBuilder};
use lock_tests::{Fixture, Proxy, RedisServer, each_backend};

use crate::neighbour::Neighbour;
use crate::support::{LATE, LONG, Room, SOON, Waiting, all_served, ask, hold, job, ms, until_in_line, usual, within};

/// A wait without a wake-up: half a second, the usual re-check, and room for a loaded machine.
const RECHECK: Duration = Duration::from_secs(3);

/// Who holds the lock has a way of its own to the server; five wait behind a proxy.
struct Scene {
    server: RedisServer,
    proxy: Proxy,
    guard: LockGuard,
    waiting: Vec<Waiting>,
}

async fn scene() -> Scene {
    scene_with(|builder| builder).await
}

async fn scene_with(waiters: impl FnOnce(LockManagerBuilder) -> LockManagerBuilder) -> Scene {
    let server = RedisServer::start();
    let proxy = Proxy::to(&server);
    let (holder, locks) = (
        LockManager::connect(&server.url()).await.unwrap(),
        waiters(LockManager::builder().url(proxy.url()))
            .connect()
            .await
            .unwrap(),
    );
    let guard = hold(&holder).await;
    let waiting = (0..5).map(|_| ask(usual(&locks))).collect();
    until_in_line(&server, 1).await;
    lock_tests::eventually("they listen", SOON, async || {
        server.cli(&["CLIENT", "LIST", "TYPE", "pubsub"]).lines().count() == 1
    })
    .await;
    Scene {
        server,
        proxy,
        guard,
        waiting,
    }
}

impl Scene {
    /// Releases the lock, and waits until the proxy has kept back what the server says of it.
    async fn released_in_silence(self) -> (RedisServer, Proxy, Vec<Waiting>) {
        let lost = self.proxy.lost_replies();
        self.guard.release().await.unwrap();
        lock_tests::eventually("the word of it is lost", SOON, async || {
            self.proxy.lost_replies() > lost
        })
        .await;
        self.proxy.swallow_replies(false);
        (self.server, self.proxy, self.waiting)
    }

    /// Releases the lock; the waiters get it within the bound of a re-check.
    async fn goes_on(self, what: &str) {
        let released = Instant::now();
        self.guard.release().await.unwrap();
        let order = within(RECHECK, what, all_served(self.waiting, &Room::default())).await;
        println!("{what}: {:?} after the release", released.elapsed());
        assert_eq!(order, [0, 1, 2, 3, 4]);
    }
}

fn kill_subscribers(server: &RedisServer) -> String {
    server.cli(&["CLIENT", "KILL", "TYPE", "pubsub"])
}

#[tokio::test]
async fn a_release_while_nobody_is_subscribed_wakes_within_the_re_check() {
    for round in 0..5 {
        let scene = scene().await;
        // It cannot come back before the release either.
        scene.proxy.refuse(round % 2 == 0);
        assert_eq!(kill_subscribers(&scene.server), "1", "one subscription for all");
        scene.goes_on("the subscription was killed").await;
    }
}

#[tokio::test]
async fn a_release_while_a_subscription_is_new_wakes_within_the_re_check() {
    let scene = scene().await;
    let start = Instant::now();
    while start.elapsed() < ms(300) {
        kill_subscribers(&scene.server);
        tokio::time::sleep(ms(10)).await;
    }
    scene.goes_on("the subscription was killed again and again").await;
}

#[tokio::test]
async fn a_release_while_the_network_stands_still_wakes_when_it_goes_on() {
    let scene = scene().await;
    scene.proxy.freeze();
    let Scene {
        server: _server,
        proxy,
        guard,
        waiting,
    } = scene;
    guard.release().await.unwrap();
    let served = tokio::spawn(async move { all_served(waiting, &Room::default()).await });
    tokio::time::sleep(ms(300)).await;
    proxy.thaw();
    let order = within(RECHECK, "the network goes on", served).await.unwrap();
    assert_eq!(order, [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn a_release_while_all_replies_are_swallowed_wakes_within_the_re_check_after_that() {
    let scene = scene().await;
    scene.proxy.swallow_replies(true);
    let (_server, proxy, waiting) = scene.released_in_silence().await;
    proxy.cut();
    let order = within(RECHECK, "a wake-up was lost", all_served(waiting, &Room::default())).await;
    assert_eq!(order, [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn a_grant_whose_message_alone_is_lost_is_found_by_the_re_check() {
    // On the runtime of those who wait, and on the one subscription for all.
    for near in [true, false] {
        let scene = scene_with(|builder| builder.connection_per_runtime(near)).await;
        let connections = scene.proxy.connections();
        scene.proxy.swallow_what_contains("distributed-lock:granted:");
        let (_server, proxy, waiting) = scene.released_in_silence().await;
        let order = within(RECHECK, "the next look", all_served(waiting, &Room::default())).await;
        assert_eq!(order, [0, 1, 2, 3, 4]);
        assert_eq!(
            proxy.connections(),
            connections,
            "nothing else than the message was lost"
        );
    }
}

#[tokio::test]
async fn a_release_in_the_moment_of_a_reconnection_wakes_within_the_re_check() {
    for _ in 0..5 {
        let scene = scene().await;
        scene.proxy.cut();
        scene.goes_on("all connections were cut").await;
    }
}

#[tokio::test]
async fn a_manager_has_one_subscription_for_all_its_keys() {
    let server = RedisServer::start();
    let (holder, locks) = (
        LockManager::connect(&server.url()).await.unwrap(),
        LockManager::connect(&server.url()).await.unwrap(),
    );
    let mut guards = Vec::new();
    let mut waiting = Vec::new();
    for number in 0..50 {
        let key = format!("job:{number}");
        guards.push(holder.lock(&*key).ttl(LONG).acquire().await.unwrap());
        waiting.push(ask(locks.lock(&*key).ttl(LONG).wait(LONG)));
    }
    lock_tests::eventually("all wait", SOON * 4, async || {
        server.cli(&["LLEN", "distributed-lock:line:lock:job:49"]) == "1"
    })
    .await;
    let subscribers = server.cli(&["CLIENT", "LIST", "TYPE", "pubsub"]);
    assert_eq!(subscribers.lines().count(), 1, "{subscribers}");
    drop(guards);
    for call in waiting {
        drop(within(SOON, "a waiter is woken", call).await.unwrap());
    }
}

#[tokio::test]
async fn subscriptions_grow_neither_with_the_keys_nor_with_those_who_wait() {
    const KEYS: usize = 20;
    // One for all, and one more on each runtime on which somebody waits.
    for (near, most) in [(false, 1), (true, 1 + 2)] {
        let server = RedisServer::start();
        let builder = || LockManager::builder().url(server.url()).connection_per_runtime(near);
        let (holder, locks) = (builder().connect().await.unwrap(), builder().connect().await.unwrap());
        let mut guards = Vec::new();
        for number in 0..2 * KEYS {
            let held = holder.lock(format!("job:{number}")).ttl(LONG).acquire();
            guards.push(held.await.unwrap());
        }
        let runtimes: Vec<_> = (0..2)
            .map(|_| {
                tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(1)
                    .enable_all()
                    .build()
            })
            .map(Result::unwrap)
            .collect();
        let mut waiting = Vec::new();
        for (which, runtime) in runtimes.iter().enumerate() {
            let locks = locks.clone();
            let wait = async move {
                // Calls one after the other, so that this runtime has a connection of its own where there may be one.
                for _ in 0..5 {
                    locks.lock("own").run(async {}).await.unwrap();
                }
                // Several for each key, of whom some look again seldom.
                let request = |number: usize| {
                    let request = locks.lock(format!("job:{}", which * KEYS + number % KEYS));
                    let request = request.ttl(LONG).wait(LONG);
                    if number.is_multiple_of(2) {
                        request.backoff(Duration::from_secs(50), Duration::from_secs(55))
                    } else {
                        request
                    }
                };
                (0..KEYS * 3).map(|number| ask(request(number))).collect::<Vec<_>>()
            };
            waiting.extend(runtime.spawn(wait).await.unwrap());
        }
        lock_tests::eventually("all wait", LATE, async || {
            (0..2 * KEYS)
                .all(|number| server.cli(&["LLEN", &format!("distributed-lock:line:lock:job:{number}")]) == "1")
        })
        .await;
        let mut subscribers = String::new();
        lock_tests::eventually(&format!("there are at most {most} subscriptions"), SOON, async || {
            subscribers = server.cli(&["CLIENT", "LIST", "TYPE", "pubsub"]);
            (1..=most).contains(&subscribers.lines().count())
        })
        .await;
        // One channel each, so that keys cost nothing there either.
        assert!(
            subscribers.lines().all(|line| line.contains(" sub=1 ")),
            "{subscribers}"
        );
        drop(waiting);
        for runtime in runtimes {
            runtime.shutdown_background();
        }
    }
}

#[tokio::test]
async fn the_expiry_of_a_dead_holders_lease_wakes_the_next_soon() {
    let server = RedisServer::start();
    let locks = LockManager::connect(&server.url()).await.unwrap();
    let mut late = Vec::new();
    for _ in 0..3 {
        let mut holder = Neighbour::start(&server.url(), true).await;
        holder.tell("keep job 1000 seldom");
        holder.got().await;
        let waiting = ask(job(&locks));
        until_in_line(&server, 1).await;
        holder.kill();
        let left = server.ttl("lock:job").unwrap();
        let free = Instant::now() + left;
        let guard = within(left + SOON, "the expiry wakes", waiting).await.unwrap();
        late.push(Instant::now().saturating_duration_since(free));
        guard.release().await.unwrap();
    }
    println!("after the expiry of a dead holder's lease: {late:?}");
    // One that a busy machine delays is no evidence; all are.
    assert!(late.iter().min().unwrap() < &ms(250), "{late:?}");
}

#[tokio::test]
async fn the_expiry_of_a_dead_holders_lease_wakes_who_has_waited_since_before_it_was_got() {
    let server = RedisServer::start();
    let locks = LockManager::connect(&server.url()).await.unwrap();
    let guard = hold(&LockManager::connect(&server.url()).await.unwrap()).await;
    let mut holder = Neighbour::start(&server.url(), true).await;
    holder.tell("keep job 1500 seldom");
    until_in_line(&server, 1).await;
    let waiting = ask(job(&locks));
    until_in_line(&server, 2).await;
    guard.release().await.unwrap();
    holder.got().await;
    holder.kill();
    let left = server.ttl("lock:job").unwrap();
    drop(within(left + SOON, "the expiry wakes", waiting).await.unwrap());
}

#[tokio::test]
async fn a_lease_that_is_never_renewed_wakes_the_next_when_it_expires_and_not_before() {
    each_backend(async |fixture: Fixture| {
        let ttl = ms(1200);
        let before = Instant::now();
        let _holder = fixture
            .another_manager()
            .lock("job")
            .ttl(ttl)
            .never_renew()
            .acquire()
            .await
            .unwrap();
        let waiting = (0..3).map(|_| ask(job(fixture.manager()))).collect();
        let order = within(ttl + SOON, "the expiry wakes", all_served(waiting, &Room::default())).await;
        assert!(before.elapsed() >= ttl - crate::support::drift(ttl));
        assert_eq!(order, [0, 1, 2]);
    })
    .await;
}

#[tokio::test]
async fn an_expiry_wakes_the_next_although_the_server_looks_for_no_expired_keys() {
    let server = RedisServer::start();
    server.cli(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"]);
    let connect = || LockManager::connect(server.url());
    let (holder, locks) = (connect().await.unwrap(), connect().await.unwrap());
    let ttl = ms(1200);
    let _holder = job(&holder).ttl(ttl).never_renew().acquire().await.unwrap();
    let waiting = ask(job(&locks));
    let guard = within(ttl + SOON, "a timer of its own wakes it", waiting)
        .await
        .unwrap();
    guard.release().await.unwrap();
}

#[tokio::test]
async fn a_holder_that_goes_on_renewing_is_not_passed_over() {
    let server = RedisServer::start();
    let (holder, locks) = (
        LockManager::connect(&server.url()).await.unwrap(),
        LockManager::connect(&server.url()).await.unwrap(),
    );
    let ttl = Duration::from_secs(1);
    let guard = holder.lock("job").ttl(ttl).acquire().await.unwrap();
    let mut waiting = ask(job(&locks));
    let early = tokio::time::timeout(ttl * 3, &mut waiting).await;
    assert!(early.is_err(), "it was let in beside a holder");
    guard.lease().ensure_held().unwrap();
    guard.release().await.unwrap();
    let guard = within(SOON, "the waiter is woken", waiting).await.unwrap();
    guard.release().await.unwrap();
}
