//! How claims end.

use super::*;

pub(in crate::backend) async fn done_is_the_end(place: Place) {
    place.due("a").await;
    let claimed = place.take_one().await;
    assert_eq!(place.settle(&claimed, Verdict::Done).await, Settled::AsAsked);
    assert_eq!(place.counts().await, [0; 4]);
    assert_eq!(place.find(claimed.id).await, Found::Done);
    assert_eq!(place.claim(&request(1, LONG)).await, Claims::default());
}

pub(in crate::backend) async fn done_by_a_former_worker_stands_while_the_call_waits(place: Place) {
    let id = place.due("a").await;
    let second = place.due("a").await;
    let former = place.abandon(id).await;
    // Back, and due only later.
    let claims = place.claim(&request(0, LONG)).await;
    assert_eq!(claims.claimed, []);
    assert_eq!(place.settle(&former, Verdict::Done).await, Settled::AsAsked);
    assert_eq!(place.find(id).await, Found::Done);
    assert_eq!(claimed_ids(&place.take(5).await), [second]);
}

pub(in crate::backend) async fn done_by_a_former_worker_stands_while_another_one_has_it(place: Place) {
    let id = place.due("a").await;
    let second = place.due("a").await;
    let former = place.abandon(id).await;
    let present = place.take_soon().await;
    assert_eq!(present.id, id);
    assert_eq!(place.settle(&former, Verdict::Done).await, Settled::AsAsked);
    assert_eq!(place.find(id).await, Found::Done);
    assert!(!place.keep(&present, LONG).await);
    assert_eq!(place.settle(&present, again(LONG, false)).await, Settled::NotOurs);
    assert_eq!(place.counts().await, [1, 0, 0, 0]);
    assert_eq!(place.take_one().await.id, second);
}

pub(in crate::backend) async fn done_by_a_former_worker_stands_when_the_call_is_dead(place: Place) {
    let attempts = 1;
    let id = place.stored(NewCall { attempts, ..call("a") }).await;
    let former = place.abandon_for_good(id).await;
    assert_eq!(place.settle(&former, Verdict::Done).await, Settled::AsAsked);
    assert_eq!(place.find(id).await, Found::Done);
    assert_eq!(place.counts().await, [0; 4]);
}

pub(in crate::backend) async fn a_former_worker_s_other_verdicts_change_nothing(place: Place) {
    let id = place.due("a").await;
    let former = place.abandon(id).await;
    let present = place.take_soon().await;
    for verdict in [dead("failed", "no luck"), again(LONG, true), Verdict::HandedBack] {
        assert_eq!(place.settle(&former, verdict).await, Settled::NotOurs);
    }
    assert_eq!(place.counts().await, [0, 0, 1, 0]);
    assert!(place.keep(&present, LONG).await);
}

pub(in crate::backend) async fn a_verdict_on_a_call_that_has_ended_changes_nothing(place: Place) {
    place.due("a").await;
    let claimed = place.take_one().await;
    place.settle(&claimed, Verdict::Done).await;
    for verdict in [dead("failed", "no luck"), again(LONG, true), Verdict::HandedBack] {
        assert_eq!(place.settle(&claimed, verdict).await, Settled::NotOurs);
    }
    assert_eq!(place.find(claimed.id).await, Found::Done);
    assert_eq!(place.counts().await, [0; 4]);
}

pub(in crate::backend) async fn a_verdict_with_a_made_up_token_changes_nothing(place: Place) {
    let id = place.due("a").await;
    for verdict in [dead("failed", "no luck"), again(LONG, true), Verdict::HandedBack] {
        assert_eq!(place.settle_as(id, Uuid::new_v4(), verdict).await, Settled::NotOurs);
    }
    let nothing = place.settle_as(Uuid::new_v4(), Uuid::new_v4(), Verdict::Done).await;
    assert_eq!(nothing, Settled::NotOurs);
    assert_eq!(place.counts().await, [1, 0, 0, 0]);
}

pub(in crate::backend) async fn another_attempt_comes_after_its_pause(place: Place) {
    let id = place.due("a").await;
    let claimed = place.take_one().await;
    let pause = Duration::from_millis(200);
    let before = place.census().await.now;
    assert_eq!(place.settle(&claimed, again(pause, false)).await, Settled::AsAsked);
    assert_eq!(place.take(1).await, []);
    let record = place.record(id).await;
    assert_eq!((record.standing, record.tried), (Standing::Delayed, 1));
    assert_eq!((record.error.as_deref(), record.cause), (Some("not yet"), None));
    assert!(record.at >= before + 200, "{before} {}", record.at);
    let claimed = place.take_soon().await;
    assert_eq!((claimed.id, claimed.tried, claimed.early), (id, 1, Duration::ZERO));
}

pub(in crate::backend) async fn the_last_attempt_ends_in_the_dead_letters(place: Place) {
    let attempts = 2;
    let id = place.stored(NewCall { attempts, ..call("a") }).await;
    let first = place.take_one().await;
    assert_eq!(
        place.settle(&first, again(Duration::ZERO, true)).await,
        Settled::AsAsked
    );
    let second = place.take_soon().await;
    assert_eq!(
        place.settle(&second, again(Duration::ZERO, true)).await,
        Settled::Exhausted
    );
    let record = place.record(id).await;
    assert_eq!((record.standing, record.tried, record.attempts), (Standing::Dead, 2, 2));
    assert_eq!(record.cause.as_deref(), Some("exhausted"));
    assert_eq!(record.error.as_deref(), Some("not yet"));
    assert_eq!(place.claim(&request(1, LONG)).await, Claims::default());
}

pub(in crate::backend) async fn a_call_that_is_handed_back_waits_for_its_planned_time_and_was_not_tried(place: Place) {
    let due = place.due("a").await;
    let delayed = place.delayed("b").await;
    let planned = place.record(delayed).await.at;
    place.hasten(delayed).await;
    for claimed in place.take(2).await {
        assert_eq!(place.settle(&claimed, Verdict::HandedBack).await, Settled::AsAsked);
    }
    assert_eq!(place.record(delayed).await.at, planned);
    assert_eq!(place.counts().await, [1, 1, 0, 0]);
    let claimed = place.take(2).await;
    assert_eq!(claimed_ids(&claimed), [due]);
    assert_eq!(claimed[0].tried, 0);
}

pub(in crate::backend) async fn a_dead_call_says_why(place: Place) {
    let id = place.due("a").await;
    let claimed = place.take_one().await;
    let before = place.census().await.now;
    let verdict = dead("failed", "no lück\u{0}");
    assert_eq!(place.settle(&claimed, verdict).await, Settled::AsAsked);
    let record = place.record(id).await;
    assert_eq!(
        (record.standing, record.tried, record.worker),
        (Standing::Dead, 1, None)
    );
    assert_eq!(record.cause.as_deref(), Some("failed"));
    assert_eq!(record.error.as_deref(), Some("no lück\u{0}"));
    assert!((before..=place.census().await.now).contains(&record.at));
}

pub(in crate::backend) async fn a_settlement_that_is_sent_twice_counts_once(place: Place) {
    let twice = async |verdict: Verdict| {
        let id = place.due("a").await;
        let claimed = place.take_one().await;
        let first = place.settle(&claimed, verdict.clone()).await;
        assert_eq!(first, Settled::AsAsked);
        // Whether the store knows that it did so or says that there is no such claim.
        assert_ne!(place.settle(&claimed, verdict).await, Settled::Exhausted);
        let found = place.find(id).await;
        place.store.cancel(id, WITHIN).await.unwrap();
        found
    };
    let again = match twice(again(LONG, true)).await {
        Found::Call(record) => (record.standing, record.tried),
        other => panic!("{other:?}"),
    };
    assert_eq!(again, (Standing::Delayed, 1));
    let dead = match twice(dead("failed", "no luck")).await {
        Found::Call(record) => (record.standing, record.tried),
        other => panic!("{other:?}"),
    };
    assert_eq!(dead, (Standing::Dead, 1));
    let back = match twice(Verdict::HandedBack).await {
        Found::Call(record) => (record.standing, record.tried),
        other => panic!("{other:?}"),
    };
    assert_eq!(back, (Standing::Due, 0));
    assert_eq!(twice(Verdict::Done).await, Found::Done);
}
