//! Calls that wait for their locks.

use super::*;

pub(in crate::backend) async fn a_call_whose_lock_may_be_free_can_be_claimed_before_its_time(place: Place) {
    let id = place.delayed("a").await;
    assert_eq!(place.take(1).await, []);
    place.hasten(id).await;
    place.hasten(id).await;
    let claimed = place.take_one().await;
    assert_eq!(claimed.id, id);
    assert!(claimed.early > LONG / 2 && claimed.early <= LONG, "{:?}", claimed.early);
}

pub(in crate::backend) async fn an_early_call_that_is_handed_back_waits_for_its_time_again(place: Place) {
    let id = place.delayed("a").await;
    place.hasten(id).await;
    place.settle(&place.take_one().await, Verdict::HandedBack).await;
    let claims = place.claim(&request(1, LONG)).await;
    assert_eq!(claims.claimed, []);
    assert_eq!(claims.upcoming.len(), 1);
    place.hasten(id).await;
    assert_eq!(place.take_one().await.id, id);
}

pub(in crate::backend) async fn only_a_call_that_waits_for_its_lock_is_hastened(place: Place) {
    let id = place.due("a").await;
    place.settle(&place.take_one().await, again(LONG, false)).await;
    place.hasten(id).await;
    assert_eq!(place.take(1).await, []);

    let id = place.due("b").await;
    place.settle(&place.take_one().await, again(LONG, true)).await;
    place.hasten(id).await;
    assert_eq!(place.take_one().await.id, id);
}

pub(in crate::backend) async fn only_the_first_call_of_a_lane_is_hastened(place: Place) {
    place.delayed("a").await;
    let second = place.delayed("a").await;
    place.hasten(second).await;
    assert_eq!(place.take(1).await, []);
}

pub(in crate::backend) async fn a_call_that_does_not_wait_is_not_hastened(place: Place) {
    let dead = place.dead("a").await;
    let done = place.due("b").await;
    place.settle(&place.take_one().await, Verdict::Done).await;
    let running = place.due("c").await;
    place.take_one().await;
    for id in [dead, done, running, Uuid::new_v4()] {
        place.hasten(id).await;
    }
    assert_eq!(place.take(5).await, []);
    assert_eq!(place.counts().await, [0, 0, 1, 1]);
}

pub(in crate::backend) async fn upcoming_calls_are_the_next_ones_that_wait_for_their_locks(place: Place) {
    let wait = async |lane: &str, seconds: u64| {
        let delay = Duration::from_secs(seconds);
        place.stored(NewCall { delay, ..call(lane) }).await
    };
    place.due("not for its lock").await;
    place
        .settle(&place.take_one().await, again(Duration::from_secs(50), false))
        .await;
    let (later, sooner) = (wait("later", 200).await, wait("sooner", 100).await);
    wait("sooner", 60).await;
    let claims = place.claim(&request(1, LONG)).await;
    let upcoming: Vec<_> = claims
        .upcoming
        .iter()
        .map(|call| (call.id, call.lane.as_str()))
        .collect();
    assert_eq!(upcoming, [(sooner, "sooner"), (later, "later")]);
}

pub(in crate::backend) async fn upcoming_calls_are_not_told_when_enough_are_due(place: Place) {
    place.delayed("a").await;
    place.due("b").await;
    assert_eq!(place.claim(&request(1, LONG)).await.upcoming, []);
    place.due("c").await;
    let claims = place.claim(&request(2, LONG)).await;
    assert_eq!((claims.claimed.len(), claims.upcoming.len()), (1, 1));
}

pub(in crate::backend) async fn no_more_upcoming_calls_are_told_than_were_asked_for(place: Place) {
    for lane in 0..12 {
        place.delayed(&lane.to_string()).await;
    }
    assert_eq!(place.claim(&request(1, LONG)).await.upcoming.len(), 10);
    let none = ClaimRequest {
        upcoming: Ahead::Nothing,
        ..request(1, LONG)
    };
    assert_eq!(place.claim(&none).await.upcoming, []);
}

pub(in crate::backend) async fn the_newest_that_wait_are_told_where_those_are_asked_for(place: Place) {
    let mut ids = Vec::new();
    for lane in ["a", "b", "c"] {
        ids.push(place.delayed(lane).await);
        place.after(Duration::ZERO).await;
    }
    let upcoming = Ahead::Latest(2);
    let request = ClaimRequest {
        upcoming,
        ..request(1, LONG)
    };
    let told = place.claim(&request).await.upcoming;
    let mut told: Vec<Uuid> = told.into_iter().map(|upcoming| upcoming.id).collect();
    told.sort_by_key(|id| ids.iter().position(|known| known == id));
    assert_eq!(told, ids[1..]);
}
