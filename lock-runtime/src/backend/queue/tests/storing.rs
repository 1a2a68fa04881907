//! Adding calls.

use super::*;

pub(in crate::backend) async fn a_call_comes_back_as_it_was_stored(place: Place) {
    let new = NewCall {
        lane: "order:42".to_owned(),
        payload: "{\"a\":\"\u{0}\u{7f}ä🦀 \\\" \n</>{}\"}".to_owned(),
        delay: Duration::from_millis(7),
        attempts: 3,
        ..call("")
    };
    place.store(&new).await;
    let claimed = place.take_soon().await;
    assert_eq!(claimed.id, new.id);
    assert_eq!(claimed.lane, new.lane);
    assert_eq!(claimed.payload, new.payload);
    assert_eq!(claimed.delay, new.delay);
    assert_eq!((claimed.tried, claimed.attempts), (0, 3));
    assert_eq!(claimed.early, Duration::ZERO);
    assert!(claimed.age >= new.delay && claimed.age < LONG, "{:?}", claimed.age);
}

pub(in crate::backend) async fn a_call_is_stored_once_however_often_that_is_asked_for(place: Place) {
    let new = call("a");
    for _ in 0..3 {
        assert_eq!(place.store(&new).await, Storing::Stored);
    }
    assert_eq!(place.counts().await, [1, 0, 0, 0]);
    assert_eq!(place.take(5).await.len(), 1);
}

pub(in crate::backend) async fn a_call_that_was_claimed_is_not_stored_again(place: Place) {
    let new = call("a");
    place.store(&new).await;
    let claimed = place.take_one().await;
    assert_eq!(place.store(&new).await, Storing::Stored);
    assert_eq!(place.counts().await, [0, 0, 1, 0]);
    assert_eq!(place.settle(&claimed, Verdict::Done).await, Settled::AsAsked);
}

pub(in crate::backend) async fn a_call_that_has_ended_is_not_stored_again(place: Place) {
    let (done, cancelled) = (call("a"), call("b"));
    place.store(&done).await;
    place.settle(&place.take_one().await, Verdict::Done).await;
    place.store(&cancelled).await;
    place.store.cancel(cancelled.id, WITHIN).await.unwrap();
    for ended in [done, cancelled] {
        assert_eq!(place.store(&ended).await, Storing::Stored);
    }
    assert_eq!(place.counts().await, [0; 4]);
    assert_eq!(place.take(5).await, []);
}

pub(in crate::backend) async fn a_full_queue_says_how_many_calls_it_has(place: Place) {
    let new = |lane: &str| NewCall { limit: 2, ..call(lane) };
    assert_eq!(place.store(&new("a")).await, Storing::Stored);
    assert_eq!(place.store(&new("b")).await, Storing::Stored);
    assert_eq!(place.store(&new("c")).await, Storing::Full(2));
    assert_eq!(place.counts().await, [2, 0, 0, 0]);
}

pub(in crate::backend) async fn dead_calls_leave_room_and_running_ones_do_not(place: Place) {
    let new = |lane: &str| NewCall { limit: 1, ..call(lane) };
    assert_eq!(place.store(&new("a")).await, Storing::Stored);
    let claimed = place.take_one().await;
    assert_eq!(place.store(&new("b")).await, Storing::Full(1));
    place.settle(&claimed, dead("failed", "no luck")).await;
    assert_eq!(place.store(&new("b")).await, Storing::Stored);
}

pub(in crate::backend) async fn a_call_of_a_full_queue_is_stored_already(place: Place) {
    let new = NewCall { limit: 1, ..call("a") };
    assert_eq!(place.store(&new).await, Storing::Stored);
    assert_eq!(place.store(&new).await, Storing::Stored);
}

pub(in crate::backend) async fn namespaces_are_strangers(place: Place) {
    for namespace in ["", "shop", "shop:a", "{shop:}", "shop:}", "%7Bshop:%7D", "Shop:"] {
        let other = place.other(namespace);
        assert_eq!(other.store(&call(namespace), WITHIN).await.unwrap(), Storing::Stored);
        assert_eq!(other.census(WITHIN).await.unwrap().due, 1, "{namespace:?}");
        assert_ne!(other.bell(), place.store.bell(), "{namespace:?}");
    }
    assert_eq!(place.counts().await, [0; 4]);
    let same = place.other("shop:");
    same.store(&call("a"), WITHIN).await.unwrap();
    assert_eq!(place.counts().await, [1, 0, 0, 0]);
}

pub(in crate::backend) async fn a_payload_of_a_megabyte_is_stored(place: Place) {
    let payload = "0123456789abcdef".repeat(65_536);
    for lane in ["a", "b", "c"] {
        let payload = payload.clone();
        place.stored(NewCall { payload, ..call(lane) }).await;
    }
    assert_eq!(place.take_one().await.payload, payload);
    assert!(
        place
            .page(Standing::Due, 0, 2)
            .await
            .iter()
            .all(|record| record.payload == payload)
    );
}

pub(in crate::backend) async fn a_call_that_is_withdrawn_is_not_stored_when_it_comes_later(place: Place) {
    let late = call("a");
    place.store.withdraw(late.id, WITHIN).await.unwrap();
    place.store.withdraw(late.id, WITHIN).await.unwrap();
    assert_eq!(place.store(&late).await, Storing::Stored);
    assert_eq!(place.counts().await, [0; 4]);
    assert_eq!(place.find(late.id).await, Found::Cancelled);
}

pub(in crate::backend) async fn a_call_that_is_stored_is_withdrawn_unless_it_runs(place: Place) {
    let waiting = place.delayed("a").await;
    place.store.withdraw(waiting, WITHIN).await.unwrap();
    assert_eq!(place.find(waiting).await, Found::Cancelled);
    let running = place.due("b").await;
    let claimed = place.take_one().await;
    place.store.withdraw(running, WITHIN).await.unwrap();
    assert_eq!(place.settle(&claimed, Verdict::Done).await, Settled::AsAsked);
    place.store.withdraw(running, WITHIN).await.unwrap();
    assert_eq!(place.find(running).await, Found::Done);
}
