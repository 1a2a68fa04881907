//! What operators do to calls.

use super::*;
use crate::backend::queue::{Cancelling, Sweep};

impl Place {
    async fn cancel(&self, id: Uuid) -> Cancelling {
        self.store.cancel(id, WITHIN).await.unwrap()
    }

    async fn send_back(&self, id: Uuid) -> bool {
        self.store.send_back(id, Uuid::new_v4(), WITHIN).await.unwrap()
    }

    /// Of all that are dead by now.
    async fn sweep(&self, limit: u32, sweep: Sweep) -> u64 {
        let now = self.census().await.now;
        self.store.sweep_dead(now, limit, sweep, WITHIN).await.unwrap()
    }
}

pub(in crate::backend) async fn a_waiting_call_is_cancelled(place: Place) {
    let ids = [place.due("a").await, place.due("a").await, place.delayed("b").await];
    for id in ids {
        assert_eq!(place.cancel(id).await, Cancelling::Cancelled);
        assert_eq!(place.find(id).await, Found::Cancelled);
    }
    assert_eq!(place.claim(&request(5, LONG)).await, Claims::default());
    assert_eq!(place.counts().await, [0; 4]);
}

pub(in crate::backend) async fn a_running_call_is_not_cancelled(place: Place) {
    let id = place.due("a").await;
    let claimed = place.take_one().await;
    assert_eq!(place.cancel(id).await, Cancelling::Running);
    assert!(place.keep(&claimed, LONG).await);
    assert_eq!(place.settle(&claimed, Verdict::Done).await, Settled::AsAsked);
}

pub(in crate::backend) async fn a_dead_call_is_forgotten_when_it_is_cancelled(place: Place) {
    let id = place.dead("a").await;
    assert_eq!(place.cancel(id).await, Cancelling::Cancelled);
    assert_eq!(place.find(id).await, Found::Cancelled);
    assert_eq!(place.counts().await, [0; 4]);
}

pub(in crate::backend) async fn there_is_nothing_to_cancel_where_there_is_no_call(place: Place) {
    assert_eq!(place.cancel(Uuid::new_v4()).await, Cancelling::Nothing);
    let id = place.due("a").await;
    place.settle(&place.take_one().await, Verdict::Done).await;
    assert_eq!(place.cancel(id).await, Cancelling::Nothing);
    assert_eq!(place.find(id).await, Found::Done);
}

pub(in crate::backend) async fn a_cancellation_that_is_sent_twice_is_the_same(place: Place) {
    let id = place.due("a").await;
    assert_eq!(place.cancel(id).await, Cancelling::Cancelled);
    assert_eq!(place.cancel(id).await, Cancelling::Cancelled);
}

pub(in crate::backend) async fn a_call_that_came_back_is_cancelled(place: Place) {
    let id = place.due("a").await;
    let former = place.abandon(id).await;
    place.claim(&request(0, LONG)).await;
    assert_eq!(place.cancel(id).await, Cancelling::Cancelled);
    // Its body may have gone on and come to its end; the call is cancelled all the same.
    assert_eq!(place.settle(&former, Verdict::Done).await, Settled::NotOurs);
    assert_eq!(place.find(id).await, Found::Cancelled);
}

pub(in crate::backend) async fn a_dead_call_that_is_sent_back_stands_at_the_end_of_its_lane(place: Place) {
    let first = place.dead("a").await;
    let second = place.due("a").await;
    assert!(place.send_back(first).await);
    let claimed = place.take(5).await;
    assert_eq!(claimed_ids(&claimed), [second]);
    place.settle(&claimed[0], Verdict::Done).await;
    assert_eq!(place.take_one().await.id, first);
}

pub(in crate::backend) async fn a_dead_call_that_is_sent_back_has_all_its_attempts(place: Place) {
    let (attempts, delay) = (2, Duration::from_millis(1));
    let id = place
        .stored(NewCall {
            attempts,
            delay,
            ..call("a")
        })
        .await;
    for settled in [Settled::AsAsked, Settled::Exhausted] {
        let claimed = place.take_soon().await;
        assert_eq!(place.settle(&claimed, again(Duration::ZERO, true)).await, settled);
    }
    let stored = place.record(id).await.stored;
    assert!(place.send_back(id).await);
    let record = place.record(id).await;
    assert_eq!((record.standing, record.tried, record.attempts), (Standing::Due, 0, 2));
    assert_eq!((record.cause, record.error, record.worker), (None, None, None));
    assert_eq!(record.stored, stored);
    let claimed = place.take_one().await;
    assert_eq!((claimed.id, claimed.tried, claimed.early), (id, 0, Duration::ZERO));
    assert_eq!(claimed.payload, "a call for a");
    assert_eq!(place.counts().await, [0, 0, 1, 0]);
}

pub(in crate::backend) async fn only_a_dead_call_is_sent_back(place: Place) {
    let dead = place.dead("a").await;
    assert!(place.send_back(dead).await);
    assert!(!place.send_back(dead).await, "it waits");
    place.take_one().await;
    assert!(!place.send_back(dead).await, "it runs");
    assert!(!place.send_back(Uuid::new_v4()).await);
    assert_eq!(place.counts().await, [0, 0, 1, 0]);
}

pub(in crate::backend) async fn dead_calls_are_sent_back_in_the_order_in_which_they_died(place: Place) {
    let mut dead = Vec::new();
    for _ in 0..5 {
        dead.push(place.dead("a").await);
    }
    assert_eq!(place.sweep(3, Sweep::SendBack).await, 3);
    assert_eq!(place.sweep(3, Sweep::SendBack).await, 2);
    assert_eq!(place.sweep(3, Sweep::SendBack).await, 0);
    for id in dead {
        let claimed = place.take_one().await;
        assert_eq!(claimed.id, id);
        place.settle(&claimed, Verdict::Done).await;
    }
}

pub(in crate::backend) async fn dead_calls_are_forgotten(place: Place) {
    let ids = [place.dead("a").await, place.dead("b").await];
    place.due("a").await;
    assert_eq!(place.sweep(10, Sweep::Forget).await, 2);
    assert_eq!(place.sweep(10, Sweep::Forget).await, 0);
    for id in ids {
        assert_eq!(place.find(id).await, Found::Cancelled);
    }
    assert_eq!(place.counts().await, [1, 0, 0, 0]);
}

pub(in crate::backend) async fn no_more_dead_calls_are_swept_than_were_asked_for(place: Place) {
    let mut dead = Vec::new();
    for lane in ["a", "b", "c"] {
        dead.push(place.dead(lane).await);
        place.after(Duration::from_millis(1)).await;
    }
    assert_eq!(place.sweep(2, Sweep::Forget).await, 2);
    assert_eq!(place.ids(Standing::Dead).await, dead[2..]);
}

pub(in crate::backend) async fn calls_that_died_later_are_not_swept(place: Place) {
    let early = place.dead("a").await;
    let until = place.census().await.now;
    place.after(Duration::from_millis(1)).await;
    let late = place.dead("b").await;
    for sweep in [Sweep::SendBack, Sweep::Forget] {
        place.store.sweep_dead(until, 10, sweep, WITHIN).await.unwrap();
    }
    assert_eq!(place.ids(Standing::Dead).await, [late]);
    assert_eq!(place.record(early).await.standing, Standing::Due);
    assert_eq!(place.store.sweep_dead(0, 10, Sweep::Forget, WITHIN).await.unwrap(), 0);
}
