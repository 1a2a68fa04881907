//! A process full of waiters does not keep the lock to itself.

use std::time::Instant;

use lock_tests::{RedisServer, eventually};

use crate::neighbour::{Hold, Neighbour, holds};
use crate::support::{LATE, median};

/// A process with many tasks and one with a single task, which all want one lock until the single one had it so often.
async fn crowd_and_single(body: &str, times: usize) -> Vec<Hold> {
    let server = RedisServer::start();
    let mut crowd = Neighbour::start(&server.url(), true).await;
    let mut single = Neighbour::start(&server.url(), true).await;
    crowd.tell(&format!("loop job 32 {body}"));
    single.tell(&format!("loop job 1 {body}"));
    let start = Instant::now();
    // As long as this takes when every turn of the crowd is as long as it may be, twice over.
    let turn = std::time::Duration::from_millis(300);
    let enough = turn * u32::try_from(times).unwrap();
    eventually("they had some time", enough + LATE, async || start.elapsed() > enough).await;
    holds(&mut [&mut crowd, &mut single]).await
}

/// What the single one had to bear each time: how many holds of the others, and how many nanoseconds.
fn borne(holds: &[Hold]) -> Vec<(u64, u64)> {
    let mine = holds.iter().filter(|hold| hold.process == 1);
    mine.map(|mine| {
        let before = |hold: &&Hold| hold.process == 0 && hold.began > mine.asked && hold.began < mine.began;
        let others = holds.iter().filter(before).count();
        (others as u64, mine.began - mine.asked)
    })
    .collect()
}

/// The longest row of holds of the crowd, once both were there.
fn longest_row(holds: &[Hold]) -> usize {
    let first = holds.iter().position(|hold| hold.process == 1).unwrap();
    let last = holds.iter().rposition(|hold| hold.process == 1).unwrap();
    let rows = holds[first..=last].chunk_by(|one, next| one.process == next.process);
    rows.map(<[Hold]>::len).max().unwrap()
}

#[tokio::test]
async fn a_single_waiter_is_served_after_a_bounded_number_of_the_others_holds() {
    let holds = crowd_and_single("0", 10).await;
    let borne = borne(&holds);
    let typical = median(borne.iter().map(|(others, _)| *others).collect());
    let most = borne.iter().map(|(others, _)| *others).max().unwrap();
    println!(
        "{} holds, {} of them the single one's, which bore {typical} holds of the others (median), {most} at most",
        holds.len(),
        borne.len()
    );
    assert!(
        longest_row(&holds) > 1,
        "no lease was handed on, so this showed nothing"
    );
    // The lease of now, and the one of a claim that came before: 256 holds each.
    assert!(typical <= 512, "the single one bore {typical} holds of the others");
}

#[tokio::test]
async fn a_single_waiter_is_served_within_a_tenth_of_a_second_and_a_body() {
    let holds = crowd_and_single("30", 12).await;
    let borne = borne(&holds);
    let waits: Vec<u64> = borne.iter().map(|(_, waited)| waited / 1_000_000).collect();
    println!("the single one waited, in ms: {waits:?}");
    assert!(
        longest_row(&holds) > 1,
        "no lease was handed on, so this showed nothing"
    );
    // The lease of now, and the one of a claim that came before: 100 ms and a body each, and a machine with other work.
    let typical = median(waits.clone());
    assert!(typical <= 2 * 130 + 100, "the single one waited {typical} ms");
    // A round of the crowd is 960 ms.
    let longest = waits.iter().max().unwrap();
    assert!(*longest <= 900, "the single one waited {longest} ms");
}
