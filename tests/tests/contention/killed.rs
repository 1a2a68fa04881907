//! A process dies while it waits or holds, or the caller that asks for the others gives up: the others go on.

use std::time::{Duration, Instant};

use lock_runtime::{LockManager, LockRequest};
use lock_tests::{Fixture, RedisServer, each_backend};

use crate::neighbour::Neighbour;
use crate::support::{
    DEAD_CLAIM, Room, SOON, all_served, ask, helper_keys, hold, job, manager, ms, until_in_line, until_only,
    until_they_wait, usual, within,
};

async fn connect(server: &RedisServer) -> LockManager {
    LockManager::connect(&server.url()).await.unwrap()
}

/// A process at the front of the line is killed, five wait behind it.
async fn killed_at_the_front(often: &str, behind: fn(&LockManager) -> LockRequest) {
    let server = RedisServer::start();
    let (holder, locks) = (connect(&server).await, connect(&server).await);
    let helpers = helper_keys(&server, &holder).await;
    let guard = hold(&holder).await;
    let mut front = Neighbour::start(&server.url(), true).await;
    front.tell(&format!("keep job 600000 {often}"));
    until_in_line(&server, 1).await;
    let waiting: Vec<_> = (0..5).map(|_| ask(behind(&locks))).collect();
    until_in_line(&server, 2).await;
    front.kill();
    let released = Instant::now();
    guard.release().await.unwrap();
    let order = within(
        DEAD_CLAIM + SOON,
        "the others go on",
        all_served(waiting, &Room::default()),
    )
    .await;
    println!("a dead waiter at the front cost {:?}", released.elapsed());
    assert_eq!(order, [0, 1, 2, 3, 4]);
    assert!(!front.has_got());
    until_only(&server, &helpers).await;
}

#[tokio::test]
async fn a_process_killed_at_the_front_of_the_line_costs_the_others_little() {
    killed_at_the_front("usual", usual).await;
}

#[tokio::test]
async fn a_process_killed_at_the_front_of_the_line_costs_little_also_if_it_looked_seldom() {
    killed_at_the_front("seldom", usual).await;
}

#[tokio::test]
async fn a_process_killed_at_the_front_of_the_line_costs_little_also_if_those_behind_it_look_seldom() {
    killed_at_the_front("usual", job).await;
}

#[tokio::test]
async fn several_killed_in_the_line_cost_little_each() {
    const DEAD: u32 = 3;
    let server = RedisServer::start();
    let (holder, locks) = (connect(&server).await, connect(&server).await);
    let guard = hold(&holder).await;
    let mut dead = Vec::new();
    for number in 1..=DEAD as usize {
        let mut one = Neighbour::start(&server.url(), number % 2 == 0).await;
        one.tell("keep job 600000 usual");
        until_in_line(&server, number).await;
        dead.push(one);
    }
    let waiting: Vec<_> = (0..5).map(|_| ask(usual(&locks))).collect();
    until_in_line(&server, DEAD as usize + 1).await;
    dead.iter_mut().for_each(Neighbour::kill);
    let released = Instant::now();
    guard.release().await.unwrap();
    let bound = DEAD_CLAIM * DEAD + SOON;
    within(bound, "the others go on", all_served(waiting, &Room::default())).await;
    println!("{DEAD} dead waiters cost {:?}", released.elapsed());
}

#[tokio::test]
async fn a_process_killed_while_it_holds_costs_its_ttl() {
    let ttl = Duration::from_secs(2);
    let server = RedisServer::start();
    let locks = connect(&server).await;
    let mut holder = Neighbour::start(&server.url(), true).await;
    holder.tell("keep job 2000 seldom");
    let fence = holder.got().await;
    let waiting: Vec<_> = (0..5).map(|_| ask(job(&locks))).collect();
    until_in_line(&server, 1).await;
    holder.kill();
    let left = server
        .ttl("lock:job")
        .expect("a dead process leaves its lock to the ttl");
    assert!(left <= ttl);
    let room = Room::default();
    let order = within(left + SOON, "the others go on", all_served(waiting, &room)).await;
    assert_eq!(order, [0, 1, 2, 3, 4]);
    assert!(room.fence() > fence);
}

#[tokio::test]
async fn a_process_killed_in_the_moment_when_it_is_given_the_lock_costs_the_others_little() {
    let server = RedisServer::start();
    let (holder, locks) = (connect(&server).await, connect(&server).await);
    let guard = hold(&holder).await;
    let mut front = Neighbour::start(&server.url(), true).await;
    front.tell("keep job 1000 usual");
    until_in_line(&server, 1).await;
    let waiting: Vec<_> = (0..3).map(|_| ask(usual(&locks))).collect();
    until_in_line(&server, 2).await;
    guard.release().await.unwrap();
    front.kill();
    let bound = Duration::from_secs(1) + DEAD_CLAIM + SOON;
    let order = within(bound, "the others go on", all_served(waiting, &Room::default())).await;
    assert_eq!(order, [0, 1, 2]);
}

#[tokio::test]
async fn when_the_caller_that_came_first_gives_up_the_others_go_on() {
    each_backend(async |fixture: Fixture| {
        for hand_over in [true, false] {
            let locks = manager(&fixture, hand_over).await;
            let guard = hold(fixture.another_manager()).await;
            let mut waiting: Vec<_> = (0..6).map(|_| ask(job(&locks))).collect();
            until_they_wait(&fixture, 1).await;
            drop(waiting.remove(0));
            drop(waiting.remove(0));
            guard.release().await.unwrap();
            let room = Room::default();
            let order = within(SOON, "the others go on", all_served(waiting, &room)).await;
            assert_eq!(order, [0, 1, 2, 3]);
        }
    })
    .await;
}

#[tokio::test]
async fn when_the_task_of_the_caller_that_came_first_is_aborted_the_others_go_on() {
    each_backend(async |fixture: Fixture| {
        for hand_over in [true, false] {
            let locks = manager(&fixture, hand_over).await;
            for round in 0..20 {
                let guard = hold(fixture.another_manager()).await;
                let first = ask(job(&locks));
                let waiting: Vec<_> = (0..4).map(|_| ask(job(&locks))).collect();
                // In some rounds as soon as it has asked, in others when it surely stands in line.
                if round % 2 == 0 {
                    until_they_wait(&fixture, 1).await;
                }
                // Before, with, or after the release.
                let release = async {
                    for _ in 0..round {
                        tokio::task::yield_now().await;
                    }
                    guard.release().await.unwrap();
                };
                let abort = async {
                    for _ in 0..20 - round {
                        tokio::task::yield_now().await;
                    }
                    // It may have had the lock by then, which is released.
                    drop(first);
                };
                futures_util::future::join(release, abort).await;
                let room = Room::default();
                let order = within(SOON + DEAD_CLAIM, "the others go on", all_served(waiting, &room)).await;
                assert_eq!(order, [0, 1, 2, 3]);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn when_the_runtime_of_the_caller_that_came_first_ends_the_others_go_on() {
    each_backend(async |fixture: Fixture| {
        let locks = manager(&fixture, true).await;
        let guard = hold(fixture.another_manager()).await;
        let (asked, has_asked) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let first = locks.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .unwrap();
            let _inside = runtime.enter();
            let _first = ask(job(&first));
            asked.send(()).unwrap();
            let _ = ended.recv();
        });
        has_asked.recv().unwrap();
        let waiting: Vec<_> = (0..4).map(|_| ask(job(&locks))).collect();
        until_they_wait(&fixture, 1).await;
        end.send(()).unwrap();
        tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap();
        guard.release().await.unwrap();
        let order = within(
            SOON + DEAD_CLAIM,
            "the others go on",
            all_served(waiting, &Room::default()),
        )
        .await;
        assert_eq!(order, [0, 1, 2, 3]);
    })
    .await;
}

#[tokio::test]
async fn a_caller_that_is_not_polled_any_more_lets_the_others_go_on_when_it_is_dropped() {
    each_backend(async |fixture: Fixture| {
        let locks = manager(&fixture, true).await;
        let guard = hold(fixture.another_manager()).await;
        let mut first = Box::pin(job(&locks).acquire());
        assert!(tokio::time::timeout(ms(100), first.as_mut()).await.is_err());
        let waiting: Vec<_> = (0..4).map(|_| ask(job(&locks))).collect();
        until_they_wait(&fixture, 1).await;
        guard.release().await.unwrap();
        let room = Room::default();
        let others = tokio::spawn(async move { all_served(waiting, &room).await });
        tokio::time::sleep(ms(100)).await;
        drop(first);
        let order = within(SOON + DEAD_CLAIM, "the others go on", others).await.unwrap();
        assert_eq!(order, [0, 1, 2, 3]);
    })
    .await;
}
