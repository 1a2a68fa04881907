//! A manager shuts down while many wait through it.

use std::time::{Duration, Instant};

use lock_runtime::{LockError, current};
use lock_tests::{Fixture, each_backend};

use crate::support::{
    LATE, LONG, Room, SOON, Waiting, all_served, ask, helper_keys, hold, job, manager, ms, soon, until_only,
    until_they_wait, within,
};

const MANY: usize = 200;

/// All of them are told at once that the manager shuts down.
async fn all_are_refused(waiting: Vec<Waiting>) {
    let answers = soon("all are answered", futures_util::future::join_all(waiting)).await;
    for answer in answers {
        let error = answer.unwrap_err();
        assert!(matches!(error, LockError::ShutDown { .. }), "{error:?}");
        assert!(!error.is_conflict() && !error.is_lost(), "{error:?}");
    }
}

#[tokio::test]
async fn all_who_wait_are_refused_at_once_and_nothing_is_left_behind() {
    each_backend(async |fixture: Fixture| {
        for hand_over in [true, false] {
            let locks = manager(&fixture, hand_over).await;
            let helpers = match fixture.server() {
                Some(server) => helper_keys(server, &locks).await,
                None => Vec::new(),
            };
            let guard = hold(fixture.another_manager()).await;
            let waiting = (0..MANY).map(|_| ask(job(&locks))).collect();
            until_they_wait(&fixture, 1).await;
            let ends = {
                let locks = locks.clone();
                tokio::spawn(async move { locks.shutdown(LATE).await })
            };
            all_are_refused(waiting).await;
            within(SOON * 2, "the shutdown ends", ends).await.unwrap();
            guard.lease().ensure_held().unwrap();
            guard.release().await.unwrap();
            assert!(
                fixture.manager().inspect("job").await.unwrap().is_none(),
                "somebody got the lock"
            );
            if let Some(server) = fixture.server() {
                until_only(server, &helpers).await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn the_body_that_has_the_lock_gets_its_time_and_nobody_after_it_gets_the_lock() {
    each_backend(async |fixture: Fixture| {
        let locks = manager(&fixture, true).await;
        let room = Room::default();
        let guard = hold(fixture.another_manager()).await;
        let (inside, open) = (tokio::sync::Notify::new(), tokio::sync::Notify::new());
        let body = async {
            let _visit = room.enter(0, &current().unwrap());
            inside.notify_one();
            open.notified().await;
        };
        let first = job(&locks).run(body);
        let rest = async {
            until_they_wait(&fixture, 1).await;
            let waiting: Vec<_> = (0..MANY).map(|_| ask(job(&locks))).collect();
            guard.release().await.unwrap();
            soon("the first is in", inside.notified()).await;
            let mut ends = Box::pin(locks.shutdown(LONG));
            assert!(
                tokio::time::timeout(ms(100), ends.as_mut()).await.is_err(),
                "a body still runs"
            );
            all_are_refused(waiting).await;
            open.notify_one();
            within(SOON * 2, "the shutdown ends", ends).await;
        };
        let (first, ()) = within(LATE, "all is over", futures_util::future::join(first, rest)).await;
        first.unwrap();
        assert_eq!(room.visits(), [0]);
        assert!(
            fixture.manager().inspect("job").await.unwrap().is_none(),
            "somebody got the lock"
        );
    })
    .await;
}

#[tokio::test]
async fn waiters_of_other_processes_are_served_when_one_shuts_down() {
    each_backend(async |fixture: Fixture| {
        let (ends, stays) = (manager(&fixture, true).await, manager(&fixture, true).await);
        let guard = hold(fixture.another_manager()).await;
        let refused: Vec<_> = (0..20).map(|_| ask(job(&ends))).collect();
        until_they_wait(&fixture, 1).await;
        let waiting = (0..20).map(|_| ask(job(&stays))).collect();
        until_they_wait(&fixture, 2).await;
        within(SOON * 2, "it shuts down", ends.shutdown(LATE)).await;
        all_are_refused(refused).await;
        let released = Instant::now();
        guard.release().await.unwrap();
        let order = within(SOON, "the others go on", all_served(waiting, &Room::default())).await;
        println!(
            "on {}: all others were served within {:?}",
            fixture.name(),
            released.elapsed()
        );
        assert_eq!(order, (0..20).collect::<Vec<_>>());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_in_the_middle_of_hand_overs_leaves_the_lock_free() {
    each_backend(async |fixture: Fixture| {
        for hand_over in [true, false] {
            let locks = manager(&fixture, hand_over).await;
            let room = Room::default();
            let tasks: Vec<_> = (0..32)
                .map(|who| {
                    let (locks, room) = (locks.clone(), room.clone());
                    tokio::spawn(async move {
                        loop {
                            let body = async {
                                let _visit = room.enter(who, &current().unwrap());
                                tokio::task::yield_now().await;
                            };
                            if let Err(error) = locks.lock("job").ttl(LONG).wait(LONG).run(body).await {
                                assert!(matches!(error, LockError::ShutDown { .. }), "{error:?}");
                                return;
                            }
                        }
                    })
                })
                .collect();
            lock_tests::eventually("they take turns", LATE, async || room.visits().len() > 200).await;
            within(SOON * 2, "it shuts down", locks.shutdown(Duration::from_secs(5))).await;
            let visits = room.visits().len();
            assert!(
                fixture.manager().inspect("job").await.unwrap().is_none(),
                "the lock is still held"
            );
            for task in tasks {
                soon("a task is refused", task).await.unwrap();
            }
            assert_eq!(room.visits().len(), visits, "somebody got the lock after the shutdown");
            hold(fixture.manager()).await.release().await.unwrap();
        }
    })
    .await;
}
