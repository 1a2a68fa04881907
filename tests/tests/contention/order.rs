//! First come, first served inside a process.

use lock_runtime::LockManager;
use lock_tests::{Fixture, each_backend};

use crate::support::{LATE, Room, ask, ask_all, hold, job, manager, served, soon, until_they_wait, within};

const WAITERS: usize = 20;

async fn kept(fixture: &Fixture, locks: &LockManager, holder: &LockManager) {
    let guard = hold(holder).await;
    let waiting = (0..WAITERS).map(|_| ask(job(locks))).collect();
    until_they_wait(fixture, 1).await;
    let room = Room::default();
    let served = tokio::spawn(async move { served(waiting, &room).await });
    guard.release().await.unwrap();
    let order = within(LATE, "all are served", served).await.unwrap();
    assert_eq!(order, (0..WAITERS).collect::<Vec<_>>());
}

#[tokio::test]
async fn waiters_are_served_in_the_order_in_which_they_came_when_another_process_releases() {
    each_backend(async |fixture: Fixture| {
        for hand_over in [true, false] {
            let locks = manager(&fixture, hand_over).await;
            kept(&fixture, &locks, fixture.another_manager()).await;
        }
    })
    .await;
}

#[tokio::test]
async fn waiters_are_served_in_the_order_in_which_they_came_when_their_own_process_releases() {
    each_backend(async |fixture: Fixture| {
        for hand_over in [true, false] {
            let locks = manager(&fixture, hand_over).await;
            kept(&fixture, &locks, &locks).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_order_is_kept_when_several_threads_run_the_waiters() {
    each_backend(async |fixture: Fixture| {
        for hand_over in [true, false] {
            let locks = manager(&fixture, hand_over).await;
            kept(&fixture, &locks, &locks).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_order_of_those_who_come_while_one_waits_is_kept() {
    each_backend(async |fixture: Fixture| {
        for hand_over in [true, false] {
            let locks = manager(&fixture, hand_over).await;
            let guard = hold(fixture.another_manager()).await;
            let waiting = ask_all(&fixture, (0..WAITERS).map(|_| job(&locks))).await;
            let room = Room::default();
            let served = tokio::spawn(async move { served(waiting.into(), &room).await });
            guard.release().await.unwrap();
            let order = within(LATE, "all are served", served).await.unwrap();
            assert_eq!(order, (0..WAITERS).collect::<Vec<_>>());
        }
    })
    .await;
}

#[tokio::test]
async fn who_releases_and_asks_again_is_served_after_those_who_wait() {
    each_backend(async |fixture: Fixture| {
        for hand_over in [true, false] {
            let locks = manager(&fixture, hand_over).await;
            let guard = hold(&locks).await;
            let mut waiting: Vec<_> = (0..WAITERS).map(|_| ask(job(&locks))).collect();
            until_they_wait(&fixture, 1).await;
            guard.release().await.unwrap();
            // Nobody who waits was polled since, so none can have gone already.
            waiting.push(ask(job(&locks)));
            let order = served(waiting, &Room::default()).await;
            assert_eq!(order, (0..=WAITERS).collect::<Vec<_>>());
        }
    })
    .await;
}

#[tokio::test]
async fn who_does_not_wait_gets_nothing_while_somebody_waits() {
    each_backend(async |fixture: Fixture| {
        for hand_over in [true, false] {
            let locks = manager(&fixture, hand_over).await;
            let guard = hold(&locks).await;
            let waiting = ask(job(&locks));
            until_they_wait(&fixture, 1).await;
            guard.release().await.unwrap();
            for other in [&locks, fixture.another_manager()] {
                let now = soon("an answer", other.lock("job").try_acquire()).await.unwrap();
                assert!(now.is_none(), "it was given {now:?} before one who waited");
            }
            let guard = soon("the waiter is served", waiting).await.unwrap();
            guard.release().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn the_order_is_kept_when_some_in_the_middle_give_up() {
    each_backend(async |fixture: Fixture| {
        for hand_over in [true, false] {
            let locks = manager(&fixture, hand_over).await;
            let guard = hold(fixture.another_manager()).await;
            let mut waiting: Vec<_> = (0..WAITERS).map(|who| (who, ask(job(&locks)))).collect();
            until_they_wait(&fixture, 1).await;
            waiting.retain(|(who, _)| who % 3 != 0);
            let (left, waiting): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
            guard.release().await.unwrap();
            let order = served(waiting, &Room::default()).await;
            let order: Vec<_> = order.into_iter().map(|index| left[index]).collect();
            assert_eq!(order, left);
        }
    })
    .await;
}
