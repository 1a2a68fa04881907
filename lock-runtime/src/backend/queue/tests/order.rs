//! Lanes: one call after the other in each, side by side otherwise.

use std::collections::BTreeMap;

use super::*;
use crate::backend::queue::Cancelling;

pub(in crate::backend) async fn calls_of_one_lane_run_in_the_order_in_which_they_were_stored(place: Place) {
    let mut stored = Vec::new();
    for _ in 0..12 {
        stored.push(place.due("a").await);
    }
    let mut run = Vec::new();
    for _ in 0..12 {
        let claimed = place.take_one().await;
        run.push(claimed.id);
        place.settle(&claimed, Verdict::Done).await;
    }
    assert_eq!(run, stored);
}

pub(in crate::backend) async fn only_the_first_call_of_a_lane_can_be_claimed(place: Place) {
    let first = place.due("a").await;
    place.due("a").await;
    place.due("a").await;
    assert_eq!(claimed_ids(&place.take(10).await), [first]);
    assert_eq!(place.take(10).await, []);
}

pub(in crate::backend) async fn different_lanes_run_side_by_side(place: Place) {
    let mut stored = Vec::new();
    for lane in ["a", "b", "c"] {
        stored.push(place.due(lane).await);
        place.due(lane).await;
    }
    let mut claimed = claimed_ids(&place.take(10).await);
    claimed.sort_unstable();
    stored.sort_unstable();
    assert_eq!(claimed, stored);
}

pub(in crate::backend) async fn the_call_that_is_due_for_the_longest_comes_first(place: Place) {
    let mut stored = Vec::new();
    for lane in ["c", "a", "b"] {
        stored.push(place.due(lane).await);
        place.after(Duration::from_millis(1)).await;
    }
    assert_eq!(claimed_ids(&place.take(2).await), stored[..2]);
    assert_eq!(claimed_ids(&place.take(2).await), stored[2..]);
}

pub(in crate::backend) async fn a_lane_waits_for_its_first_call_which_waits_for_its_next_attempt(place: Place) {
    let first = place.due("a").await;
    place.due("a").await;
    place.settle(&place.take_one().await, again(LONG, false)).await;
    assert_eq!(place.take(10).await, []);
    assert_eq!(place.record(first).await.standing, Standing::Delayed);
}

pub(in crate::backend) async fn a_call_keeps_its_place_until_it_has_ended(place: Place) {
    let first = place.due("a").await;
    let second = place.due("a").await;
    place.settle(&place.take_one().await, again(Duration::ZERO, true)).await;
    place.abandon(first).await;
    let claimed = place.take_soon().await;
    assert_eq!(claimed.id, first);
    place.settle(&claimed, Verdict::HandedBack).await;
    let claimed = place.take_soon().await;
    assert_eq!(claimed.id, first);
    place.settle(&claimed, Verdict::Done).await;
    assert_eq!(place.take_one().await.id, second);
}

pub(in crate::backend) async fn lanes_differ_by_any_byte(place: Place) {
    let lanes = [
        "",
        "a",
        "aa",
        "a:",
        "a:1",
        "a\u{0}",
        "a\u{0}b",
        "A",
        "{a}",
        "{",
        "}",
        "a{",
        "a}",
        "ä",
        "a\u{308}",
        "🦀",
        ":",
        "0",
        "00",
        "0000000000000001",
        "00001a",
        "00001a0000000000000001",
        "a b",
        "a\nb",
        "\"a\"",
        "\\a",
        "[a",
        "(a",
        "+",
        "-",
        "\u{7f}",
        "%",
        "a%3A",
    ];
    let long = ["x".repeat(1_024), "x".repeat(1_023), "ü".repeat(512)];
    let lanes: Vec<&str> = lanes.into_iter().chain(long.iter().map(String::as_str)).collect();
    let mut rounds = [BTreeMap::new(), BTreeMap::new()];
    for round in &mut rounds {
        for lane in &lanes {
            round.insert(lane.to_string(), place.due(lane).await);
        }
    }
    for round in rounds {
        let claimed = place.take(100).await;
        assert_eq!(claimed.len(), lanes.len());
        for claimed in claimed {
            assert_eq!(claimed.id, round[&claimed.lane], "{:?}", claimed.lane);
            place.settle(&claimed, Verdict::Done).await;
        }
    }
    assert_eq!(place.counts().await, [0; 4]);
}

/// Two calls of one lane; the first one runs.
async fn two(place: &Place) -> (Claimed, Uuid) {
    place.due("a").await;
    let second = place.delayed("a").await;
    (place.take_one().await, second)
}

async fn is_next(place: &Place, id: Uuid) {
    let claimed = place.take_one().await;
    assert_eq!(claimed.id, id);
    // Its lock was released just now, long before its time.
    assert!(claimed.early > LONG / 2, "{:?}", claimed.early);
}

pub(in crate::backend) async fn the_next_call_can_be_claimed_when_the_one_before_is_done(place: Place) {
    let (first, second) = two(&place).await;
    assert_eq!(place.take(1).await, []);
    place.settle(&first, Verdict::Done).await;
    is_next(&place, second).await;
}

pub(in crate::backend) async fn the_next_call_can_be_claimed_when_the_one_before_is_dead(place: Place) {
    let (first, second) = two(&place).await;
    place.settle(&first, dead("failed", "no luck")).await;
    is_next(&place, second).await;
}

pub(in crate::backend) async fn the_next_call_can_be_claimed_when_the_one_before_is_cancelled(place: Place) {
    let first = place.delayed("a").await;
    let second = place.delayed("a").await;
    assert_eq!(place.take(1).await, []);
    assert_eq!(place.store.cancel(first, WITHIN).await.unwrap(), Cancelling::Cancelled);
    is_next(&place, second).await;
}

pub(in crate::backend) async fn the_next_call_can_be_claimed_when_the_one_before_ran_out_of_attempts(place: Place) {
    let attempts = 1;
    let first = place.stored(NewCall { attempts, ..call("a") }).await;
    let second = place.delayed("a").await;
    let claimed = place.take_one().await;
    assert_eq!(claimed.id, first);
    assert_eq!(place.settle(&claimed, again(LONG, true)).await, Settled::Exhausted);
    is_next(&place, second).await;
}

pub(in crate::backend) async fn the_first_try_after_another_call_is_early_and_costs_no_attempt(place: Place) {
    place.due("a").await;
    let delay = SHORT;
    let second = place.stored(NewCall { delay, ..call("a") }).await;
    let first = place.take_one().await;
    // Its own time has long come.
    place.after(SHORT * 2).await;
    place.settle(&first, Verdict::Done).await;
    let claimed = place.take_one().await;
    assert_eq!(claimed.id, second);
    assert!(
        claimed.early > Duration::ZERO && claimed.early <= delay,
        "{:?}",
        claimed.early
    );
}

pub(in crate::backend) async fn a_call_that_leaves_from_the_middle_lets_nobody_overtake(place: Place) {
    let first = place.delayed("a").await;
    let second = place.due("a").await;
    place.due("a").await;
    place.store.cancel(second, WITHIN).await.unwrap();
    assert_eq!(place.take(10).await, []);
    assert_eq!(place.record(first).await.standing, Standing::Delayed);
}

pub(in crate::backend) async fn a_lane_keeps_its_order_whoever_leaves_it(place: Place) {
    let mut random = fastrand::Rng::with_seed(7);
    let mut expected: Vec<Uuid> = Vec::new();
    let mut dead_ones = Vec::new();
    for _ in 0..400 {
        match random.u8(0..10) {
            0..5 => expected.push(place.due("a").await),
            5..8 if !expected.is_empty() => {
                let id = expected.remove(random.usize(0..expected.len()));
                assert_eq!(place.store.cancel(id, WITHIN).await.unwrap(), Cancelling::Cancelled);
            }
            8 if !expected.is_empty() => {
                let claimed = place.take_one().await;
                assert_eq!(claimed.id, expected.remove(0));
                place.settle(&claimed, dead("failed", "no luck")).await;
                dead_ones.push(claimed.id);
            }
            9 if !dead_ones.is_empty() => {
                let id = dead_ones.swap_remove(random.usize(0..dead_ones.len()));
                assert!(place.store.send_back(id, Uuid::new_v4(), WITHIN).await.unwrap());
                expected.push(id);
            }
            _ => {}
        }
    }
    for id in expected {
        let claimed = place.take_one().await;
        assert_eq!(claimed.id, id);
        place.settle(&claimed, Verdict::Done).await;
    }
    assert_eq!(place.take(1).await, []);
    assert_eq!(place.counts().await[..3], [0; 3]);
}
