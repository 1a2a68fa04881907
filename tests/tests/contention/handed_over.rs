//! A lease that is handed on inside a process: how often, how long, to whom, and when it is lost.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lock_runtime::{LockError, LockManager, LostReason, current, distributed_lock};
use lock_tests::{Fixture, RedisServer, each_backend, eventually};

use crate::support::{
    LATE, Room, SOON, Visit, Waiting, ask, hold, job, manager, ms, served, soon, until_in_line, until_they_wait, within,
};

/// The token that the server has for each hold, hold by hold, when so many wait at once for a lock that another process
/// gives free, each with a body as long as this.
async fn tokens(hand_over: bool, waiters: usize, body: Duration) -> Vec<String> {
    let fixture = Fixture::redis().await;
    let locks = manager(&fixture, hand_over).await;
    let server = fixture.server().unwrap();
    let guard = hold(fixture.another_manager()).await;
    let (room, tokens): (Room, Mutex<Vec<String>>) = (Room::default(), Mutex::default());
    let calls = (0..waiters).map(|who| {
        let (locks, room, tokens) = (&locks, &room, &tokens);
        async move {
            let body = async {
                let visit = room.enter(who, &current().unwrap());
                tokens.lock().unwrap().push(server.get("lock:job").unwrap());
                if !body.is_zero() {
                    tokio::time::sleep(body).await;
                }
                drop(visit);
            };
            job(locks).run(body).await.unwrap();
        }
    });
    let release = async {
        until_in_line(server, 1).await;
        guard.release().await.unwrap();
    };
    let all = futures_util::future::join(futures_util::future::join_all(calls), release);
    within(LATE * 2, "all had their turn", all).await;
    tokens.into_inner().unwrap()
}

/// How many holds came in a row under each token.
fn runs(tokens: &[String]) -> Vec<usize> {
    tokens.chunk_by(|one, next| one == next).map(<[String]>::len).collect()
}

fn no_token_comes_back(tokens: &[String]) {
    let different: HashSet<_> = tokens.iter().collect();
    assert_eq!(different.len(), runs(tokens).len(), "a token came back");
}

#[tokio::test]
async fn a_lease_has_at_most_256_holds() {
    let tokens = tokens(true, 1_000, Duration::ZERO).await;
    no_token_comes_back(&tokens);
    let runs = runs(&tokens);
    println!("holds under each token: {runs:?}");
    assert!(runs.iter().all(|run| *run <= 256), "{runs:?}");
    assert!(runs.len() < 100, "hardly any lease was handed on: {runs:?}");
}

#[tokio::test]
async fn a_lease_is_handed_on_for_at_most_a_tenth_of_a_second() {
    let tokens = tokens(true, 24, ms(30)).await;
    no_token_comes_back(&tokens);
    let runs = runs(&tokens);
    println!("holds of 30 ms under each token: {runs:?}");
    // After 30, 60 and 90 ms; not after 120.
    assert!(runs.iter().all(|run| *run <= 4), "{runs:?}");
    assert!(runs.len() < 24, "no lease was handed on: {runs:?}");
}

#[tokio::test]
async fn without_hand_over_each_hold_has_a_token_of_its_own() {
    let tokens = tokens(false, 50, Duration::ZERO).await;
    no_token_comes_back(&tokens);
    assert_eq!(runs(&tokens), [1; 50]);
}

#[tokio::test]
async fn a_lease_is_not_handed_on_to_who_came_after_it_was_got() {
    let fixture = Fixture::redis().await;
    let locks = manager(&fixture, true).await;
    let server = fixture.server().unwrap();
    for _ in 0..20 {
        let guard = hold(&locks).await;
        let before = server.get("lock:job");
        let waiting = ask(job(&locks));
        guard.release().await.unwrap();
        let guard = soon("the waiter is served", waiting).await.unwrap();
        assert_ne!(server.get("lock:job"), before, "the lease was handed on to a newcomer");
        guard.release().await.unwrap();
    }
}

/// A lease of `ttl` that was handed on at least three times, its present hold, and calls that wait behind it.
async fn handed_on(
    server: &RedisServer,
    locks: &LockManager,
    ttl: Duration,
) -> (lock_runtime::LockGuard, Vec<Waiting>) {
    let other = LockManager::connect(&server.url()).await.unwrap();
    let request = || job(locks).ttl(ttl).renew_every(ttl / 20);
    let start = Instant::now();
    loop {
        assert!(start.elapsed() < LATE, "no lease is handed on three times");
        let guard = hold(&other).await;
        let mut waiting = std::collections::VecDeque::from([ask(request())]);
        until_in_line(server, 1).await;
        waiting.extend((0..5).map(|_| ask(request())));
        guard.release().await.unwrap();
        let mut guard = soon("the first", waiting.pop_front().unwrap()).await.unwrap();
        let token = server.get("lock:job");
        for _ in 0..3 {
            guard.release().await.unwrap();
            guard = soon("the next", waiting.pop_front().unwrap()).await.unwrap();
        }
        if server.get("lock:job") == token {
            return (guard, waiting.into());
        }
        // The machine stood still meanwhile, and a new lease was got: once more.
        drop((guard, waiting));
        eventually("all is over", LATE, async || server.keys().len() <= 1).await;
    }
}

#[tokio::test]
async fn the_present_holder_is_told_on_time_when_the_server_dies_after_hand_overs() {
    let ttl = Duration::from_secs(3);
    let mut server = RedisServer::start();
    let locks = LockManager::connect(&server.url()).await.unwrap();
    let (guard, waiting) = handed_on(&server, &locks, ttl).await;
    server.kill();
    let killed = Instant::now();
    let lease = guard.lease().clone();
    let looks = tokio::spawn(async move {
        tokio::time::sleep_until((killed + ttl).into()).await;
        assert!(!lease.is_held(), "held when its ttl {ttl:?} is over");
    });
    let reason = within(ttl + SOON, "the loss", guard.lease().lost()).await;
    assert_eq!(reason, LostReason::Expired);
    looks.await.unwrap();
    for call in waiting {
        let answer = tokio::time::timeout(ms(10), call).await;
        assert!(!matches!(answer, Ok(Ok(_))), "a waiter got the lock of a dead server");
    }
}

#[tokio::test]
async fn the_present_holder_is_told_when_the_key_goes_after_hand_overs_and_the_next_gets_a_lease_of_its_own() {
    let server = RedisServer::start();
    let locks = LockManager::connect(&server.url()).await.unwrap();
    let (guard, waiting) = handed_on(&server, &locks, Duration::from_secs(4)).await;
    let before = server.get("lock:job");
    server.cli(&["DEL", "lock:job"]);
    let reason = soon("the loss", guard.lease().lost()).await;
    assert_eq!(reason, LostReason::Missing);
    let fence = guard.fence();
    assert!(guard.release().await.unwrap_err().is_lost());
    let tokens: Arc<Mutex<Vec<String>>> = Arc::default();
    let room = Room::default();
    for call in waiting {
        let guard = soon("a waiter is served", call).await.unwrap();
        assert!(guard.fence() > fence);
        let _visit = room.enter(0, guard.lease());
        tokens.lock().unwrap().push(server.get("lock:job").unwrap());
        drop(guard);
    }
    assert!(
        tokens
            .lock()
            .unwrap()
            .iter()
            .all(|token| Some(token) != before.as_ref())
    );
}

#[tokio::test]
async fn a_lease_is_renewed_for_whoever_has_it_after_hand_overs() {
    let server = RedisServer::start();
    let locks = LockManager::connect(&server.url()).await.unwrap();
    let ttl = ms(1500);
    let (guard, waiting) = handed_on(&server, &locks, ttl).await;
    let start = Instant::now();
    eventually("two ttls passed", ttl * 2 + SOON, async || {
        guard.lease().ensure_held().unwrap();
        start.elapsed() > ttl * 2
    })
    .await;
    guard.release().await.unwrap();
    let order = served(waiting, &Room::default()).await;
    assert_eq!(order, [0, 1]);
}

/// Takes its time to go, and is in the room until then.
struct Slow(Option<Visit>);

impl Slow {
    fn enters(&mut self, visit: Visit) {
        self.0 = Some(visit);
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        std::thread::sleep(ms(2));
        drop(self.0.take());
    }
}

#[distributed_lock(key = "job", ttl = "10m", on_conflict = "retry", wait = "10m", manager = locks)]
async fn leaves_with_its_parameters(
    locks: &LockManager,
    who: usize,
    room: &Room,
    tokens: &Mutex<HashSet<String>>,
    mut slow: Slow,
) -> Result<(), LockError> {
    let holder = locks.inspect("job").await?.expect("it is held");
    tokens.lock().unwrap().insert(holder.token().to_owned());
    slow.enters(room.enter(who, &current().unwrap()));
    match who % 3 {
        0 => {}
        1 => tokio::task::yield_now().await,
        _ => panic!("this body panics because the test wants it to"),
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_is_handed_on_when_all_that_the_body_had_is_gone() {
    const WAITERS: usize = 30;
    each_backend(async |fixture: Fixture| {
        let locks = manager(&fixture, true).await;
        let guard = hold(fixture.another_manager()).await;
        let (room, tokens) = (Room::default(), Arc::<Mutex<HashSet<String>>>::default());
        let calls: Vec<_> = (0..WAITERS)
            .map(|who| {
                let (locks, room, tokens) = (locks.clone(), room.clone(), Arc::clone(&tokens));
                tokio::spawn(async move { leaves_with_its_parameters(&locks, who, &room, &tokens, Slow(None)).await })
            })
            .collect();
        until_they_wait(&fixture, 1).await;
        guard.release().await.unwrap();
        for (who, call) in calls.into_iter().enumerate() {
            let ended = within(LATE, "a call ends", call).await;
            match ended {
                Ok(ran) => ran.unwrap(),
                Err(panicked) => assert_eq!(who % 3, 2, "{panicked}"),
            }
        }
        assert_eq!(room.counts(WAITERS), [1; WAITERS]);
        let leases = tokens.lock().unwrap().len();
        assert!(fixture.server().is_none() || leases < WAITERS, "no lease was handed on");
    })
    .await;
}

#[tokio::test]
async fn a_handed_on_lease_that_nobody_renews_any_more_is_free_when_all_are_through() {
    let server = RedisServer::start();
    let locks = LockManager::connect(&server.url()).await.unwrap();
    let (guard, waiting) = handed_on(&server, &locks, Duration::from_secs(5)).await;
    drop(waiting);
    drop(guard);
    eventually("the lock is free", SOON, async || !server.exists("lock:job")).await;
}
