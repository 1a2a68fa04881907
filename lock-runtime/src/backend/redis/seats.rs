//! The claims of this manager that stand in lines on the server. Each is told on its own, over one channel.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::super::{BoxFuture, Wakeup, Woken};
use super::wakeups::Waiter;

/// By the claim's value.
#[derive(Default)]
pub(super) struct Seats(BTreeMap<String, Arc<Seat>>);

/// What one claim was told and has not heard yet.
#[derive(Default)]
pub(super) struct Seat {
    /// The lock is its own. It stays here until it is heard. A std mutex, held to take it out.
    granted: Mutex<Option<Woken>>,
    told: Notify,
}

impl Seats {
    pub(super) fn take(&mut self, claim: &str) -> Arc<Seat> {
        let seat = Arc::new(Seat::default());
        self.0.insert(claim.to_owned(), Arc::clone(&seat));
        seat
    }

    /// Nobody sits there any more, unless somebody else does.
    pub(super) fn leave(&mut self, claim: &str, seat: &Arc<Seat>) {
        if self.0.get(claim).is_some_and(|present| Arc::ptr_eq(present, seat)) {
            self.0.remove(claim);
        }
    }

    /// False: it waits no more. What it was granted it has given up by now, or is about to.
    pub(super) fn tell(&self, claim: &str, woken: Woken) -> bool {
        self.0.get(claim).map(|seat| seat.tell(woken)).is_some()
    }
}

impl Seat {
    fn tell(&self, woken: Woken) {
        if let Woken::Granted { .. } = woken {
            *self.granted.lock().unwrap_or_else(PoisonError::into_inner) = Some(woken);
        }
        self.told.notify_one();
    }

    /// Resolves when there is something to [`hear`](Self::hear). Cancel safe.
    pub(super) async fn told(&self) {
        self.told.notified().await;
    }

    pub(super) fn hear(&self) -> Woken {
        let granted = self.granted.lock().unwrap_or_else(PoisonError::into_inner).take();
        granted.unwrap_or(Woken::Look)
    }
}

/// A claim that stands in line.
pub(super) struct InLine {
    claim: String,
    seat: Arc<Seat>,
    waiter: Waiter,
}

impl InLine {
    pub(super) fn new(claim: &str, seat: Arc<Seat>, waiter: Waiter) -> Self {
        Self {
            claim: claim.to_owned(),
            seat,
            waiter,
        }
    }
}

impl Wakeup for InLine {
    fn armed(&mut self) -> BoxFuture<'_, ()> {
        self.waiter.armed()
    }

    fn woken(&mut self) -> BoxFuture<'_, Woken> {
        Box::pin(async {
            // A subscription that broke, or is there again, is a wake-up too: a word in between was not heard.
            tokio::select! {
                biased;
                () = self.seat.told() => {}
                () = self.waiter.armed.changed() => {}
            }
            self.seat.hear()
        })
    }
}

impl Drop for InLine {
    fn drop(&mut self) {
        self.waiter.leave_seat(&self.claim, &self.seat);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::Fence;

    fn granted() -> Woken {
        Woken::Granted {
            fence: Fence::from(7),
            question: 2,
        }
    }

    fn seated() -> (Seats, Arc<Seat>) {
        let mut seats = Seats::default();
        let seat = seats.take("me");
        (seats, seat)
    }

    #[test]
    fn a_grant_waits_for_whoever_was_busy_when_it_came() {
        let (seats, seat) = seated();
        assert!(seats.tell("me", granted()));
        // A look that comes after it does not hide it.
        assert!(seats.tell("me", Woken::Look));
        drop(seat.told());
        assert!(seat.told().now_or_never().is_some());
        assert_eq!(seat.hear(), granted());
        assert_eq!(seat.hear(), Woken::Look);
        assert!(seat.told().now_or_never().is_none());
    }

    #[test]
    fn nobody_hears_what_is_for_another_claim() {
        let (seats, seat) = seated();
        assert!(!seats.tell("you", granted()));
        assert!(seat.told().now_or_never().is_none());
    }

    #[test]
    fn who_leaves_does_not_take_the_seat_of_its_successor() {
        let (mut seats, seat) = seated();
        let again = seats.take("me");
        seats.leave("me", &seat);
        assert!(seats.tell("me", Woken::Look));
        assert!(again.told().now_or_never().is_some());
        seats.leave("me", &again);
        assert!(!seats.tell("me", Woken::Look));
    }
}
