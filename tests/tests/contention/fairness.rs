//! Between processes: who came first is served first, and nobody gets more than the others.

use std::time::{Duration, Instant};

use lock_tests::{Fixture, RedisServer, each_backend, eventually};

use crate::neighbour::{Hold, Neighbour, holds};
use crate::support::{LATE, Room, Waiting, ask, ask_all, hold, job, manager, served, until_in_line, until_they_wait};

/// How long all processes want the lock.
const TOGETHER: Duration = Duration::from_secs(3);
const PROCESSES: usize = 4;

/// All holds of four processes with eight tasks each, from when all were there to when the first stopped.
async fn together(hand_over: bool) -> Vec<Hold> {
    let server = RedisServer::start();
    let mut neighbours = Vec::new();
    for _ in 0..PROCESSES {
        neighbours.push(Neighbour::start(&server.url(), hand_over).await);
    }
    for neighbour in &mut neighbours {
        neighbour.tell("loop job 8 1");
    }
    let start = Instant::now();
    eventually("they had some time", TOGETHER + LATE, async || {
        start.elapsed() > TOGETHER
    })
    .await;
    let holds = holds(&mut neighbours.iter_mut().collect::<Vec<_>>()).await;
    let first = |process| holds.iter().find(|hold| hold.process == process).map(|hold| hold.began);
    let last = |process| {
        holds
            .iter()
            .rfind(|hold| hold.process == process)
            .map(|hold| hold.began)
    };
    let begun = (0..PROCESSES).map(|process| first(process).unwrap()).max().unwrap();
    let ended = (0..PROCESSES).map(|process| last(process).unwrap()).min().unwrap();
    let all_there = holds.iter().filter(|hold| (begun..=ended).contains(&hold.began));
    all_there.copied().collect()
}

fn counts(holds: &[Hold]) -> Vec<usize> {
    let of = |process| holds.iter().filter(|hold| hold.process == process).count();
    (0..PROCESSES).map(of).collect()
}

/// How far the counts are apart, in hundredths of the middle one.
fn spread(counts: &[usize]) -> usize {
    let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
    100 * (most - least) * counts.len() / counts.iter().sum::<usize>()
}

#[tokio::test]
async fn without_hand_over_processes_take_turns() {
    let holds = together(false).await;
    let (counts, spread) = (counts(&holds), spread(&counts(&holds)));
    let rows = holds.chunk_by(|one, next| one.process == next.process);
    let repeated = rows.filter(|row| row.len() > 1).count();
    println!("holds of each process {counts:?}, spread {spread} %; {repeated} times one came twice in a row");
    assert!(spread <= 15, "{counts:?}");
    // A process that gets no processor for a while comes late to the line, and misses its turn.
    assert!(
        repeated * 10 <= holds.len(),
        "{repeated} of {} holds were out of turn",
        holds.len()
    );
}

#[tokio::test]
async fn with_hand_over_processes_get_the_lock_equally_often() {
    let holds = together(true).await;
    let (counts, spread) = (counts(&holds), spread(&counts(&holds)));
    println!("holds of each process {counts:?}, spread {spread} %");
    assert!(spread <= 30, "{counts:?}");
}

/// Calls of these managers, which come one after the other, are served in that order.
async fn served_as_they_came(fixture: &Fixture, hand_over: bool, arrivals: &[usize]) {
    let order: Vec<_> = (0..arrivals.len()).collect();
    served_as(fixture, hand_over, arrivals, &order).await;
}

/// Calls of these managers, which come one after the other, are served in this order.
async fn served_as(fixture: &Fixture, hand_over: bool, arrivals: &[usize], expected: &[usize]) {
    let mut managers = Vec::new();
    for _ in 0..=*arrivals.iter().max().unwrap() {
        managers.push(manager(fixture, hand_over).await);
    }
    let guard = hold(fixture.manager()).await;
    let mut waiting: Vec<Waiting> = Vec::new();
    let mut there = std::collections::HashSet::new();
    for process in arrivals {
        waiting.push(ask(job(&managers[*process])));
        there.insert(process);
        until_they_wait(fixture, there.len()).await;
    }
    guard.release().await.unwrap();
    let order = served(waiting, &Room::default()).await;
    assert_eq!(
        order, expected,
        "they came from the processes {arrivals:?}, hand-over: {hand_over}"
    );
}

#[tokio::test]
async fn one_waiter_of_each_process_is_served_in_the_order_in_which_they_came() {
    each_backend(async |fixture: Fixture| {
        for hand_over in [true, false] {
            served_as_they_came(&fixture, hand_over, &[0, 1, 2, 3]).await;
            served_as_they_came(&fixture, hand_over, &[3, 1, 0, 2]).await;
        }
    })
    .await;
}

#[tokio::test]
async fn without_hand_over_waiters_who_came_in_turns_are_served_in_turns() {
    each_backend(async |fixture: Fixture| {
        served_as_they_came(&fixture, false, &[0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3]).await;
    })
    .await;
}

#[tokio::test]
async fn in_one_process_callers_of_different_managers_are_served_strictly_as_they_came() {
    served_as_they_came(&Fixture::memory().await, false, &[0, 0, 1, 0, 1, 1]).await;
}

#[tokio::test]
async fn without_hand_over_processes_take_turns_and_each_serves_its_callers_as_they_came() {
    // One of each process stands in line on the server, whoever came behind it there.
    served_as(&Fixture::redis().await, false, &[0, 0, 1, 0, 1, 1], &[0, 2, 1, 4, 3, 5]).await;
}

#[tokio::test]
async fn with_hand_over_the_waiters_of_a_process_may_go_together_and_the_next_process_follows() {
    let fixture = Fixture::redis().await;
    let server = fixture.server().unwrap();
    let (one, two) = (manager(&fixture, true).await, manager(&fixture, true).await);
    let guard = hold(fixture.manager()).await;
    let mut waiting = ask_all(&fixture, (0..10).map(|_| job(&one))).await;
    waiting.push_back(ask(job(&two)));
    until_in_line(server, 2).await;
    waiting.extend((0..10).map(|_| ask(job(&one))));
    guard.release().await.unwrap();
    let order = served(waiting.into(), &Room::default()).await;
    // Those of one process keep their order, and the other's caller comes after those who were there before it.
    let ours: Vec<_> = order.iter().copied().filter(|who| *who != 10).collect();
    assert!(ours.is_sorted(), "{order:?}");
    let theirs = order.iter().position(|who| *who == 10).unwrap();
    println!("the other process' caller was number {theirs} of 21");
    assert!(theirs >= 1, "{order:?}");
}
