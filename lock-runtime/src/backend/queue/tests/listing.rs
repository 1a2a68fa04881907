//! What operators see.

use super::*;

pub(in crate::backend) async fn a_call_is_found_wherever_it_stands(place: Place) {
    let before = place.census().await.now;
    let delayed = place.delayed("b:\u{0}ä").await;
    let record = place.record(delayed).await;
    assert!((before..=place.census().await.now).contains(&record.stored));
    let expected = CallRecord {
        id: delayed,
        standing: Standing::Delayed,
        lane: "b:\u{0}ä".to_owned(),
        payload: "a call for b:\u{0}ä".to_owned(),
        stored: record.stored,
        at: record.stored + u64::try_from(LONG.as_millis()).unwrap(),
        tried: 0,
        attempts: 5,
        worker: None,
        cause: None,
        error: None,
    };
    assert_eq!(record, expected);

    let id = place.due("a").await;
    let due = place.record(id).await;
    assert_eq!((due.standing, due.at), (Standing::Due, due.stored));

    let claimed = place.take_one().await;
    let running = place.record(id).await;
    assert_eq!(running.standing, Standing::Running);
    assert_eq!(running.worker.as_deref(), Some("worker-1"));
    assert!(running.at > before + u64::try_from(LONG.as_millis()).unwrap() / 2);

    place.settle(&claimed, dead("failed", "no luck")).await;
    assert_eq!(place.record(id).await.standing, Standing::Dead);
    assert_eq!(place.find(Uuid::new_v4()).await, Found::Nothing);
}

pub(in crate::backend) async fn an_end_is_remembered(place: Place) {
    let done = place.due("a").await;
    place.settle(&place.take_one().await, Verdict::Done).await;
    let cancelled = place.due("a").await;
    place.store.cancel(cancelled, WITHIN).await.unwrap();
    for lane in 0..50 {
        place.due(&lane.to_string()).await;
        place.settle(&place.take_one().await, Verdict::Done).await;
    }
    assert_eq!(place.find(done).await, Found::Done);
    assert_eq!(place.find(cancelled).await, Found::Cancelled);
}

pub(in crate::backend) async fn calls_are_counted_where_they_stand(place: Place) {
    assert_eq!(place.counts().await, [0; 4]);
    for lane in 0..10 {
        place.dead(&lane.to_string()).await;
    }
    for lane in 0..4 {
        place.due(&lane.to_string()).await;
    }
    assert_eq!(place.take(4).await.len(), 4);
    for _ in 0..2 {
        place.due("a").await;
        place.delayed("b").await;
    }
    place.delayed("b").await;
    assert_eq!(place.counts().await, [2, 3, 4, 10]);
}

pub(in crate::backend) async fn the_age_of_the_oldest_due_call_is_told(place: Place) {
    place.delayed("a").await;
    assert_eq!(place.census().await.oldest_due, None);
    place.due("b").await;
    place.after(SHORT).await;
    place.due("c").await;
    let oldest = place.census().await.oldest_due.unwrap();
    assert!(oldest >= SHORT && oldest < LONG / 2, "{oldest:?}");
    assert_eq!(place.take_one().await.lane, "b");
    assert!(place.census().await.oldest_due.is_some());
    assert_eq!(place.take_one().await.lane, "c");
    assert_eq!(place.census().await.oldest_due, None);
}

pub(in crate::backend) async fn waiting_calls_are_listed_by_their_time(place: Place) {
    let delayed = async |lane: &str, seconds: u64| {
        let delay = Duration::from_secs(seconds);
        place.stored(NewCall { delay, ..call(lane) }).await
    };
    let (last, first) = (delayed("a", 300).await, delayed("a", 100).await);
    let middle = delayed("b", 200).await;
    let mut due = Vec::new();
    for lane in ["c", "a", "b"] {
        due.push(place.due(lane).await);
        place.after(Duration::from_millis(1)).await;
    }
    assert_eq!(place.ids(Standing::Delayed).await, [first, middle, last]);
    assert_eq!(place.ids(Standing::Due).await, due);
    let page = place.page(Standing::Due, 0, 10).await;
    for record in &page {
        assert_eq!(record, &place.record(record.id).await);
    }
}

pub(in crate::backend) async fn running_calls_are_listed_with_their_workers(place: Place) {
    let ids = [place.due("a").await, place.due("b").await];
    let mut later = request(1, LONG * 2);
    later.worker = "worker-2".to_owned();
    place.after(Duration::from_millis(1)).await;
    let later = place.claim(&later).await.claimed[0].id;
    place.take_one().await;
    let page = place.page(Standing::Running, 0, 10).await;
    let workers: Vec<_> = page.iter().map(|record| record.worker.as_deref().unwrap()).collect();
    assert_eq!(workers, ["worker-1", "worker-2"]);
    assert_eq!(page[1].id, later);
    assert!(ids.contains(&page[0].id));
    for record in &page {
        assert_eq!(record, &place.record(record.id).await);
    }
}

pub(in crate::backend) async fn dead_calls_are_listed_the_last_one_first(place: Place) {
    let mut dead = Vec::new();
    for lane in ["a", "b", "c", "d"] {
        dead.push(place.dead(lane).await);
        place.after(Duration::from_millis(1)).await;
    }
    dead.reverse();
    assert_eq!(place.ids(Standing::Dead).await, dead);
    assert_eq!(ids(&place.page(Standing::Dead, 1, 2).await), dead[1..3]);
    assert_eq!(ids(&place.page(Standing::Dead, 3, 2).await), dead[3..]);
    for record in &place.page(Standing::Dead, 0, 10).await {
        assert_eq!(record, &place.record(record.id).await);
    }
}

/// Many calls that stand there.
async fn many(place: &Place, standing: Standing) -> usize {
    for lane in 0..25 {
        let lane = &format!("{standing:?} {lane}");
        match standing {
            Standing::Due => drop(place.due(lane).await),
            Standing::Delayed => drop(place.delayed(lane).await),
            Standing::Dead => drop(place.dead(lane).await),
            Standing::Running => {
                place.due(lane).await;
                place.take_one().await;
            }
        }
    }
    25
}

const STANDINGS: [Standing; 4] = [Standing::Running, Standing::Dead, Standing::Delayed, Standing::Due];

pub(in crate::backend) async fn pages_are_as_long_as_was_asked_for(place: Place) {
    for standing in STANDINGS {
        many(&place, standing).await;
    }
    for standing in STANDINGS {
        for limit in [0, 1, 7, 24, 25] {
            let page = place.page(standing, 0, limit).await;
            assert_eq!(page.len(), limit as usize, "{standing:?}");
            assert!(page.iter().all(|record| record.standing == standing));
        }
        assert_eq!(place.page(standing, 0, u32::MAX).await.len(), 25, "{standing:?}");
    }
}

pub(in crate::backend) async fn pages_far_behind_are_as_complete_as_the_first(place: Place) {
    for standing in STANDINGS {
        let count = many(&place, standing).await;
        let whole = place.ids(standing).await;
        assert_eq!(whole.len(), count);
        let mut pieces = Vec::new();
        for offset in (0..).step_by(4) {
            let page = place.page(standing, offset, 4).await;
            if page.is_empty() {
                break;
            }
            pieces.extend(ids(&page));
        }
        assert_eq!(pieces, whole, "{standing:?}");
    }
}

pub(in crate::backend) async fn there_is_nothing_behind_the_last_page(place: Place) {
    for standing in STANDINGS {
        assert_eq!(place.page(standing, 0, 10).await, [], "{standing:?}");
        many(&place, standing).await;
    }
    for standing in STANDINGS {
        for offset in [25, 26, 1_000, u64::from(u32::MAX), u64::MAX] {
            assert_eq!(place.page(standing, offset, 10).await, [], "{standing:?} {offset}");
        }
    }
}
