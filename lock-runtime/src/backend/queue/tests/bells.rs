//! Who is woken.

use tokio::runtime::Handle;
use tokio::time::timeout;

use super::*;
use crate::backend::Wakeup;
use crate::backend::queue::Cancelling;

impl Place {
    /// Listens from now on.
    async fn listen(&self, bell: &str) -> Box<dyn Wakeup> {
        let mut wakeup = self.backend.bell(bell, &Handle::current());
        timeout(WITHIN, wakeup.armed()).await.expect("listening begins");
        wakeup
    }

    async fn listen_for_calls(&self) -> Box<dyn Wakeup> {
        self.listen(self.store.bell()).await
    }

    async fn listen_for_the_end(&self, id: Uuid) -> Box<dyn Wakeup> {
        self.listen(&self.store.end_bell(id)).await
    }
}

async fn rings(mut bell: Box<dyn Wakeup>) {
    timeout(WITHIN, bell.woken()).await.expect("the bell rings");
}

pub(in crate::backend) async fn a_store_rings(place: Place) {
    let bell = place.listen_for_calls().await;
    place.due("a").await;
    rings(bell).await;
    let bell = place.listen_for_calls().await;
    place.delayed("b").await;
    rings(bell).await;
}

pub(in crate::backend) async fn a_call_that_is_hastened_rings(place: Place) {
    let id = place.delayed("a").await;
    let bell = place.listen_for_calls().await;
    place.hasten(id).await;
    rings(bell).await;
}

pub(in crate::backend) async fn a_settlement_rings_when_it_is_to(place: Place) {
    place.due("a").await;
    place.due("a").await;
    for verdict in [Verdict::HandedBack, again(Duration::ZERO, true), Verdict::Done] {
        let claimed = place.take_soon().await;
        let bell = place.listen_for_calls().await;
        place.settle(&claimed, verdict).await;
        rings(bell).await;
    }
    place.due("a").await;
    let claimed = place.take_one().await;
    let bell = place.listen_for_calls().await;
    place.settle(&claimed, dead("failed", "no luck")).await;
    rings(bell).await;
}

pub(in crate::backend) async fn a_cancellation_rings_for_the_next_call(place: Place) {
    let first = place.delayed("a").await;
    place.delayed("a").await;
    let bell = place.listen_for_calls().await;
    assert_eq!(place.store.cancel(first, WITHIN).await.unwrap(), Cancelling::Cancelled);
    rings(bell).await;
}

pub(in crate::backend) async fn a_call_that_is_sent_back_rings(place: Place) {
    let id = place.dead("a").await;
    let bell = place.listen_for_calls().await;
    assert!(place.store.send_back(id, Uuid::new_v4(), WITHIN).await.unwrap());
    rings(bell).await;
}

pub(in crate::backend) async fn the_end_of_a_call_is_told_to_who_waits_for_it(place: Place) {
    let id = place.due("a").await;
    let bell = place.listen_for_the_end(id).await;
    place.settle(&place.take_one().await, Verdict::Done).await;
    rings(bell).await;
}

pub(in crate::backend) async fn the_death_of_a_call_is_told_to_who_waits_for_it(place: Place) {
    let id = place.due("a").await;
    let bell = place.listen_for_the_end(id).await;
    place.settle(&place.take_one().await, dead("failed", "no luck")).await;
    rings(bell).await;
}

pub(in crate::backend) async fn a_cancellation_is_told_to_who_waits_for_the_call(place: Place) {
    let id = place.due("a").await;
    let bell = place.listen_for_the_end(id).await;
    place.store.cancel(id, WITHIN).await.unwrap();
    rings(bell).await;
}

pub(in crate::backend) async fn the_end_by_a_worker_that_stopped_is_told(place: Place) {
    let attempts = 1;
    let id = place.stored(NewCall { attempts, ..call("a") }).await;
    let bell = place.listen_for_the_end(id).await;
    place.abandon_for_good(id).await;
    rings(bell).await;
}
