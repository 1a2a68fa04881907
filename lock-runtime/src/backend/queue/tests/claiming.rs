//! Claims, their leases, and what dead workers had.

use super::*;
use crate::backend::queue::growing;

pub(in crate::backend) async fn nothing_comes_from_an_empty_store(place: Place) {
    assert_eq!(place.claim(&request(5, LONG)).await, Claims::default());
}

pub(in crate::backend) async fn as_many_calls_are_claimed_as_there_are_tokens(place: Place) {
    for lane in ["a", "b", "c"] {
        place.due(lane).await;
    }
    let request = request(2, LONG);
    let claims = place.claim(&request).await;
    let tokens: Vec<Uuid> = claims.claimed.iter().map(|claimed| claimed.token).collect();
    assert_eq!(tokens, request.tokens);
    assert_eq!(claims.next, Some(Duration::ZERO));
}

pub(in crate::backend) async fn the_same_tokens_get_the_same_calls(place: Place) {
    for lane in ["a", "b"] {
        place.due(lane).await;
    }
    let request = request(3, LONG);
    let first = place.claim(&request).await.claimed;
    place.due("c").await;
    let second = place.claim(&request).await.claimed;
    assert_eq!(first.len(), 2);
    // The third token is free still.
    assert_eq!(second.len(), 3);
    for (first, second) in first.iter().zip(&second) {
        assert_eq!(
            (first.id, first.token, first.early),
            (second.id, second.token, second.early)
        );
    }
    assert_eq!(place.counts().await, [0, 0, 3, 0]);
}

pub(in crate::backend) async fn a_call_is_not_claimed_before_its_time(place: Place) {
    let delay = Duration::from_millis(200);
    let id = place.stored(NewCall { delay, ..call("a") }).await;
    let claims = place.claim(&request(1, LONG)).await;
    assert_eq!(claims.claimed, []);
    let next = claims.next.unwrap();
    assert!(next <= delay && next > Duration::ZERO, "{next:?}");
    let claimed = place.take_soon().await;
    assert_eq!((claimed.id, claimed.early), (id, Duration::ZERO));
    assert!(claimed.age >= delay);
}

pub(in crate::backend) async fn a_claim_whose_lease_is_over_comes_back_and_counts(place: Place) {
    let delay = Duration::from_millis(10);
    let id = place.stored(NewCall { delay, ..call("a") }).await;
    soon("it is due", async || (place.counts().await[0] == 1).then_some(())).await;
    place.abandon(id).await;
    let before = place.census().await.now;
    let claims = place.claim(&request(1, LONG)).await;
    assert_eq!((claims.claimed, claims.buried), (Vec::new(), Vec::new()));
    let record = place.record(id).await;
    assert_eq!((record.tried, record.worker), (1, None));
    assert!(record.error.unwrap().contains("worker stopped"));
    let pause = u64::try_from(growing(delay, 0).as_millis()).unwrap();
    let latest = place.census().await.now + pause;
    assert!((before + pause..=latest).contains(&record.at), "{before} {}", record.at);
    let claimed = place.take_soon().await;
    assert_eq!((claimed.id, claimed.tried), (id, 1));
}

pub(in crate::backend) async fn a_claim_that_is_kept_does_not_end(place: Place) {
    let lease = Duration::from_millis(300);
    let id = place.due("a").await;
    let claimed = place.claim(&request(1, lease)).await.claimed.pop().unwrap();
    assert!(place.keep(&claimed, LONG).await);
    place.after(lease).await;
    assert_eq!(place.take(1).await, []);
    assert!(place.keep(&claimed, LONG).await);
    assert_eq!(place.record(id).await.standing, Standing::Running);
}

pub(in crate::backend) async fn what_is_no_claim_any_more_is_not_kept(place: Place) {
    let over = place.due("a").await;
    let over = place.abandon(over).await;
    place.take_soon().await;
    place.due("b").await;
    let done = place.take_one().await;
    place.settle(&done, Verdict::Done).await;
    place.due("c").await;
    let mine = place.take_one().await;
    let claims = [
        (over.id, over.token),
        (done.id, done.token),
        (mine.id, mine.token),
        (mine.id, done.token),
        (Uuid::new_v4(), Uuid::new_v4()),
    ];
    let kept = place.store.keep(&claims, LONG, WITHIN).await.unwrap();
    assert_eq!(kept, [false, false, true, false, false]);
    assert!(place.store.keep(&[], LONG, WITHIN).await.unwrap().is_empty());
}

pub(in crate::backend) async fn a_call_whose_workers_stop_each_time_is_dead_in_the_end(place: Place) {
    // Of one that is killed, nobody knows whether it has begun: so there are a few in any case.
    for (attempts, tried) in [(1, CRASHES), (CRASHES + 1, CRASHES + 1)] {
        let id = place.stored(NewCall { attempts, ..call("a") }).await;
        let last = place.abandon_for_good(id).await;
        assert_eq!(last.tried, tried - 1);
        let record = place.record(id).await;
        assert_eq!((record.standing, record.tried), (Standing::Dead, tried));
        assert_eq!(record.cause.as_deref(), Some("exhausted"));
        assert!(record.error.unwrap().contains("worker stopped"));
    }
}

pub(in crate::backend) async fn the_next_look_is_when_a_lease_is_over_or_a_call_is_due(place: Place) {
    let next = async || place.claim(&request(1, LONG)).await.next;
    place.due("a").await;
    place.claim(&request(1, Duration::from_secs(100))).await;
    let lease = next().await.unwrap();
    assert!(
        lease <= Duration::from_secs(100) && lease > Duration::from_secs(80),
        "{lease:?}"
    );
    let delay = Duration::from_secs(50);
    place.stored(NewCall { delay, ..call("b") }).await;
    let due = next().await.unwrap();
    assert!(due <= delay && due > Duration::from_secs(30), "{due:?}");
}

pub(in crate::backend) async fn a_call_that_comes_back_does_not_wait_for_its_lock(place: Place) {
    let delay = Duration::from_secs(10);
    let id = place.stored(NewCall { delay, ..call("a") }).await;
    place.hasten(id).await;
    place.abandon(id).await;
    assert_eq!(place.claim(&request(1, LONG)).await.upcoming, []);
    place.hasten(id).await;
    assert_eq!(place.take(1).await, []);
}

pub(in crate::backend) async fn many_claims_that_are_over_all_come_back(place: Place) {
    for lane in 0..80 {
        place.due(&lane.to_string()).await;
    }
    assert_eq!(place.claim(&request(80, SHORT)).await.claimed.len(), 80);
    place.after(SHORT).await;
    let mut came_back = 0;
    soon("all came back", async || {
        came_back += place.take(10).await.len();
        (came_back == 80).then_some(())
    })
    .await;
    assert_eq!(place.counts().await, [0, 0, 80, 0]);
}
