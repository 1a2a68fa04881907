//! Many tasks, one lock: one at a time, each gets its turns, and fences grow in the order in which they come in.

use lock_runtime::{LockManager, current};
use lock_tests::{Fixture, RedisServer, each_backend};
use tokio::sync::Notify;
use tokio::task::yield_now;

use crate::support::{LATE, LONG, Room, manager, within};

const TASKS: usize = 64;
const TURNS: usize = 10;

/// How a body ends, by its number; the last way is that its caller drops it, who is told when.
async fn end(number: usize, drop_me: &Notify) {
    match number % 4 {
        0 => {}
        1 => yield_now().await,
        2 => panic!("this body panics because the test wants it to"),
        _ => {
            drop_me.notify_one();
            std::future::pending().await
        }
    }
}

/// Tasks on these managers, each with its turns.
async fn everybody_gets_turns(managers: &[LockManager]) {
    let room = Room::default();
    let tasks: Vec<_> = (0..TASKS)
        .map(|who| {
            let (locks, room) = (managers[who % managers.len()].clone(), room.clone());
            tokio::spawn(async move {
                for _ in 0..TURNS {
                    let body = async {
                        let _visit = room.enter(who, &current().unwrap());
                        yield_now().await;
                    };
                    locks.lock("job").ttl(LONG).wait(LONG).run(body).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        within(LATE, "a task gets its turns", task).await.unwrap();
    }
    assert_eq!(room.counts(TASKS), [TURNS; TASKS]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_hand_over_each_task_of_a_process_gets_its_turns_alone() {
    each_backend(async |fixture: Fixture| everybody_gets_turns(&[manager(&fixture, true).await]).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_hand_over_each_task_of_a_process_gets_its_turns_alone() {
    each_backend(async |fixture: Fixture| everybody_gets_turns(&[manager(&fixture, false).await]).await).await;
}

#[tokio::test]
async fn on_one_thread_each_task_of_a_process_gets_its_turns_alone() {
    each_backend(async |fixture: Fixture| everybody_gets_turns(&[manager(&fixture, true).await]).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_connection_for_each_runtime_each_task_gets_its_turns_alone() {
    let server = RedisServer::start();
    let builder = LockManager::builder().url(server.url()).connection_per_runtime(false);
    everybody_gets_turns(&[builder.connect().await.unwrap()]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_hand_over_and_those_who_do_not_get_their_turns_side_by_side() {
    each_backend(async |fixture: Fixture| {
        let mut managers = Vec::new();
        for number in 0..4 {
            managers.push(manager(&fixture, number % 2 == 0).await);
        }
        everybody_gets_turns(&managers).await;
    })
    .await;
}

#[test]
fn tasks_on_two_runtimes_get_their_turns_alone() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let server = RedisServer::start();
    let locks = runtime().block_on(LockManager::connect(&server.url())).unwrap();
    let room = Room::default();
    std::thread::scope(|scope| {
        for half in 0..2 {
            let (locks, room) = (&locks, &room);
            scope.spawn(move || {
                runtime().block_on(async {
                    let calls = (0..32 * TURNS).map(|number| async move {
                        let body = async {
                            let _visit = room.enter(half * 32 + number % 32, &current().unwrap());
                            yield_now().await;
                        };
                        locks.lock("job").ttl(LONG).wait(LONG).run(body).await.unwrap();
                    });
                    within(LATE, "all turns", futures_util::future::join_all(calls)).await;
                });
            });
        }
    });
    assert_eq!(room.counts(TASKS), [TURNS; TASKS]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_the_bodies_end_everybody_gets_a_turn_alone() {
    each_backend(async |fixture: Fixture| {
        let room = Room::default();
        let locks = manager(&fixture, true).await;
        let tasks: Vec<_> = (0..TASKS)
            .map(|who| {
                let (locks, room) = (locks.clone(), room.clone());
                tokio::spawn(async move {
                    let drop_me = Notify::new();
                    let body = async {
                        let _visit = room.enter(who, &current().unwrap());
                        end(who, &drop_me).await;
                    };
                    tokio::select! {
                        ran = locks.lock("job").ttl(LONG).wait(LONG).run(body) => ran.unwrap(),
                        () = drop_me.notified() => {}
                    }
                })
            })
            .collect();
        for (who, task) in tasks.into_iter().enumerate() {
            let ended = within(LATE, "a task ends", task).await;
            assert_eq!(ended.is_err(), who % 4 == 2, "{ended:?}");
        }
        assert_eq!(room.counts(TASKS), [1; TASKS]);
    })
    .await;
}
