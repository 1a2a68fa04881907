//! A lease is lost while others wait for it: its holder is told, the others get the lock, with higher fences.

use std::time::{Duration, Instant};

use lock_runtime::{LockGuard, LockManager, LostReason};
use lock_tests::{Fixture, RedisServer, each_backend};

use crate::support::{
    DEAD_CLAIM, LATE, LONG, Room, SOON, Waiting, all_served, ask, manager, ms, soon, until_in_line, until_they_wait,
    within,
};

/// A request that is renewed ten times a second, so that what happens to the key is noticed soon, and looks again as
/// often as is usual, because who tampers with a key wakes nobody.
fn watched(locks: &LockManager) -> lock_runtime::LockRequest {
    locks
        .lock("job")
        .ttl(Duration::from_secs(20))
        .renew_every(ms(100))
        .wait(LONG)
}

/// A holder of these managers' first, five that wait in its own process, and five in another.
struct Scene {
    fixture: Fixture,
    guard: LockGuard,
    waiting: Vec<Waiting>,
}

async fn scene(fixture: Fixture, hand_over: bool) -> Scene {
    println!("on {}, hand-over: {hand_over}", fixture.name());
    let (one, two) = (manager(&fixture, hand_over).await, manager(&fixture, hand_over).await);
    // The holder got the lock while its neighbours waited already, so that it may hand it on.
    let before = fixture.manager().lock("job").ttl(LONG).acquire().await.unwrap();
    let first = ask(watched(&one));
    until_they_wait(&fixture, 1).await;
    let mut waiting: Vec<_> = (0..5).map(|_| ask(watched(&one))).collect();
    waiting.extend((0..5).map(|_| ask(watched(&two))));
    until_they_wait(&fixture, 2).await;
    before.release().await.unwrap();
    let guard = soon("the first gets the lock", first).await.unwrap();
    Scene {
        fixture,
        guard,
        waiting,
    }
}

impl Scene {
    /// The holder is told, and then all others get the lock, whether the holder ends or not.
    async fn goes_on(self, reasons: &[LostReason], holder_ends: bool) {
        let reason = soon("the holder is told", self.guard.lease().lost()).await;
        assert!(reasons.contains(&reason), "{reason:?}");
        let fence = self.guard.fence().get();
        let kept = if holder_ends {
            assert!(self.guard.release().await.unwrap_err().is_lost());
            None
        } else {
            Some(self.guard)
        };
        let (room, begun) = (Room::default(), Instant::now());
        let served = within(LATE / 3, "the others go on", all_served(self.waiting, &room)).await;
        assert_eq!(served, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        println!("the others went on within {:?}", begun.elapsed());
        assert!(room.first_fence() > fence, "the loss did not end the fence {fence}");
        drop(kept);
    }
}

const GONE: &[LostReason] = &[LostReason::Missing, LostReason::Taken];

/// The lease is lost by this command, and the others go on.
async fn lost_by(command: &[&str], hand_over: bool, holder_ends: bool) {
    let scene = scene(Fixture::redis().await, hand_over).await;
    scene.fixture.server().unwrap().cli(command);
    scene.goes_on(GONE, holder_ends).await;
}

const FLUSH: &[&str] = &["FLUSHALL"];
const DELETE: &[&str] = &["DEL", "lock:job"];
/// Its thief does not keep the lock for long.
const STEAL: &[&str] = &["SET", "lock:job", "thief", "PX", "1500"];

#[tokio::test]
async fn the_others_go_on_after_flushall() {
    lost_by(FLUSH, true, true).await;
    lost_by(FLUSH, false, true).await;
}

#[tokio::test]
async fn the_others_go_on_after_the_key_was_deleted() {
    lost_by(DELETE, true, true).await;
    lost_by(DELETE, false, true).await;
}

#[tokio::test]
async fn the_others_go_on_after_the_token_was_overwritten_and_the_thief_has_gone() {
    lost_by(STEAL, true, true).await;
    lost_by(STEAL, false, true).await;
}

#[tokio::test]
async fn with_hand_over_the_others_go_on_also_while_the_holder_of_a_lost_lease_goes_on() {
    lost_by(FLUSH, true, false).await;
    lost_by(DELETE, true, false).await;
    lost_by(STEAL, true, false).await;
}

#[tokio::test]
async fn without_hand_over_the_others_go_on_also_while_the_holder_of_a_lost_lease_goes_on() {
    lost_by(FLUSH, false, false).await;
    lost_by(DELETE, false, false).await;
    lost_by(STEAL, false, false).await;
}

#[tokio::test]
async fn a_body_that_goes_on_after_its_lease_was_lost_does_not_keep_others_of_its_process_waiting() {
    each_backend(async |fixture: Fixture| {
        let locks = manager(&fixture, true).await;
        let room = Room::default();
        let body = async {
            assert!(locks.force_release("job").await.unwrap());
            soon("the loss", lock_runtime::current().unwrap().lost()).await;
            // A task is a stranger to the body around it.
            let calls = (0..2).map(|who| {
                let (request, room) = (watched(&locks), room.clone());
                let call = async move {
                    let guard = request.acquire().await.unwrap();
                    drop(room.enter(who, guard.lease()));
                    guard.release().await.unwrap();
                };
                tokio::spawn(call)
            });
            let calls = futures_util::future::join_all(calls);
            soon("the others go on", calls)
                .await
                .into_iter()
                .for_each(Result::unwrap);
        };
        watched(&locks).continue_when_lost().run(body).await.unwrap();
        assert_eq!(room.counts(2), [1, 1]);
    })
    .await;
}

#[tokio::test]
async fn nobody_is_let_in_while_the_thief_of_a_lease_has_the_lock() {
    let scene = scene(Fixture::redis().await, true).await;
    let server = scene.fixture.server().unwrap();
    server.cli(&["SET", "lock:job", "thief", "PX", "600000"]);
    let reason = soon("the holder is told", scene.guard.lease().lost()).await;
    assert_eq!(reason, LostReason::Taken);
    assert!(scene.guard.release().await.unwrap_err().is_lost());
    let mut calls = futures_util::future::select_all(scene.waiting);
    let early = tokio::time::timeout(ms(1500), &mut calls).await;
    assert!(early.is_err(), "somebody was handed a lost lease");
    assert_eq!(server.get("lock:job").as_deref(), Some("thief"));
    server.cli(&["DEL", "lock:job"]);
    let order = within(
        SOON + DEAD_CLAIM,
        "the others go on",
        all_served(calls.into_inner(), &Room::default()),
    )
    .await;
    assert_eq!(order.len(), 10);
}

#[tokio::test]
async fn the_others_go_on_after_an_operator_freed_the_lock() {
    each_backend(async |fixture: Fixture| {
        let scene = scene(fixture, true).await;
        assert!(scene.fixture.another_manager().force_release("job").await.unwrap());
        scene.goes_on(GONE, true).await;
    })
    .await;
    each_backend(async |fixture: Fixture| {
        let scene = scene(fixture, false).await;
        assert!(scene.fixture.another_manager().force_release("job").await.unwrap());
        scene.goes_on(GONE, false).await;
    })
    .await;
}

#[tokio::test]
async fn the_others_go_on_when_the_server_comes_back_empty() {
    for hand_over in [true, false] {
        let mut server = RedisServer::start();
        let connect = || LockManager::builder().url(server.url()).hand_over(hand_over).connect();
        let (one, two) = (connect().await.unwrap(), connect().await.unwrap());
        let guard = watched(&one).acquire().await.unwrap();
        let mut waiting: Vec<_> = (0..5).map(|_| ask(watched(&one))).collect();
        waiting.extend((0..5).map(|_| ask(watched(&two))));
        until_in_line(&server, 2).await;
        server.restart();
        let reason = within(SOON * 3, "the holder is told", guard.lease().lost()).await;
        assert!(GONE.contains(&reason), "{reason:?}");
        let (fence, room) = (guard.fence().get(), Room::default());
        drop(guard);
        let order = within(LATE, "the others go on", all_served(waiting, &room)).await;
        assert!(room.first_fence() > fence);
        assert_eq!(order.len(), 10);
    }
}

#[tokio::test]
async fn the_line_lost_by_the_server_is_made_again() {
    let server = RedisServer::start();
    let connect = || LockManager::connect(server.url());
    let (holder, one, two) = (
        connect().await.unwrap(),
        connect().await.unwrap(),
        connect().await.unwrap(),
    );
    let guard = holder.lock("job").ttl(LONG).acquire().await.unwrap();
    let mut waiting: Vec<_> = (0..5).map(|_| ask(watched(&one))).collect();
    waiting.extend((0..5).map(|_| ask(watched(&two))));
    until_in_line(&server, 2).await;
    for key in server.keys() {
        if key != "lock:job" {
            server.cli(&["DEL", &key]);
        }
    }
    guard.release().await.unwrap();
    let order = within(SOON + DEAD_CLAIM, "all go on", all_served(waiting, &Room::default())).await;
    assert_eq!(order.len(), 10);
}
