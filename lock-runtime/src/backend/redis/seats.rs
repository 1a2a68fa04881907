//! The claims of this manager that stand in lines on the server. Each is told on its own: over the lane of the runtime on
//! which its caller waits, or over the connection that all of them share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::super::{BoxFuture, Grantee, Told, Wakeup};
use super::ear::Ear;
use super::wakeups::{Rouse, Waiter, Wakeups};

/// By the claim's value.
#[derive(Default)]
pub(super) struct Seats(BTreeMap<String, Arc<Seat>>);

/// Where one claim is told something.
pub(super) struct Seat {
    grantee: Arc<dyn Grantee>,
    /// It is to look for itself.
    look: Notify,
    /// Where it is told. A std mutex, held for a look.
    channel: Mutex<Arc<str>>,
}

impl Seats {
    pub(super) fn take(&mut self, claim: &str, seat: &Arc<Seat>) {
        self.0.insert(claim.to_owned(), Arc::clone(seat));
    }

    pub(super) fn of(&self, claim: &str) -> Option<Arc<Seat>> {
        self.0.get(claim).cloned()
    }

    /// Nobody sits there any more, unless somebody else does.
    pub(super) fn leave(&mut self, claim: &str, seat: &Arc<Seat>) {
        if self.0.get(claim).is_some_and(|present| Arc::ptr_eq(present, seat)) {
            self.0.remove(claim);
        }
    }
}

impl Seat {
    fn new(grantee: Arc<dyn Grantee>, channel: Arc<str>) -> Arc<Self> {
        Arc::new(Self {
            grantee,
            look: Notify::new(),
            channel: Mutex::new(channel),
        })
    }

    pub(super) fn tell(&self, told: Option<Told>) {
        match told {
            Some(told) => self.grantee.granted(told),
            None => self.look.notify_one(),
        }
    }

    /// The channel on which it is to be told.
    pub(super) fn channel(&self) -> Arc<str> {
        Arc::clone(&self.locked())
    }

    fn locked(&self) -> MutexGuard<'_, Arc<str>> {
        self.channel.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A claim that stands in line.
pub(super) struct InLine {
    wakeups: Arc<Wakeups>,
    claim: String,
    seat: Arc<Seat>,
    heard: Heard,
    /// The channel of the connection that all share.
    shared: Arc<str>,
    /// Where that connection lives.
    runtime: Handle,
}

/// Who listens.
enum Heard {
    /// The lane of the runtime on which it waits.
    There(Ear),
    /// The connection that all share.
    Here(Waiter),
}

impl InLine {
    pub(super) fn new(
        wakeups: &Arc<Wakeups>,
        claim: String,
        grantee: Arc<dyn Grantee>,
        ear: Option<Ear>,
        shared: &Arc<str>,
        runtime: &Handle,
    ) -> Self {
        let channel = ear.as_ref().map_or(shared, Ear::channel);
        let seat = Seat::new(grantee, Arc::clone(channel));
        // Before anybody listens: what is said from then on finds it.
        wakeups.seat(&claim, &seat);
        let heard = match ear {
            Some(ear) => Heard::There(ear),
            None => Heard::Here(join(wakeups, shared, runtime)),
        };
        Self {
            wakeups: Arc::clone(wakeups),
            claim,
            seat,
            heard,
            shared: Arc::clone(shared),
            runtime: runtime.clone(),
        }
    }

    /// The lane is gone. What it was told last may be lost with it.
    fn fall_back(&mut self) {
        *self.seat.locked() = Arc::clone(&self.shared);
        self.heard = Heard::Here(join(&self.wakeups, &self.shared, &self.runtime));
    }
}

fn join(wakeups: &Arc<Wakeups>, channel: &str, runtime: &Handle) -> Waiter {
    Wakeups::join(wakeups, channel.to_owned(), Rouse::Named, runtime)
}

impl Wakeup for InLine {
    #[cfg(any(feature = "queue", test))]
    fn armed(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            if let Heard::There(ear) = &mut self.heard
                && !ear.armed().await
            {
                self.fall_back();
            }
            if let Heard::Here(waiter) = &mut self.heard {
                waiter.armed().await;
            }
        })
    }

    fn woken(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            // A connection that broke, or is there again, is a wake-up too: a word in between was not heard.
            let is_lost = tokio::select! {
                biased;
                () = self.seat.look.notified() => false,
                is_lost = self.heard.changed() => is_lost,
            };
            if is_lost {
                self.fall_back();
            }
        })
    }
}

impl Heard {
    /// Resolves when something may not have been heard. Whether another one must listen from here on. Cancel safe.
    async fn changed(&mut self) -> bool {
        match self {
            Self::There(ear) => ear.missed().await,
            Self::Here(waiter) => {
                waiter.armed.changed().await;
                false
            }
        }
    }
}

impl Drop for InLine {
    fn drop(&mut self) {
        self.wakeups.leave(&self.claim, &self.seat);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::Fence;

    #[derive(Default)]
    struct Claimant(Mutex<Vec<Told>>);

    impl Grantee for Claimant {
        fn granted(&self, told: Told) {
            self.0.lock().unwrap().push(told);
        }
    }

    fn seated(seats: &mut Seats) -> (Arc<Claimant>, Arc<Seat>) {
        let claimant = Arc::new(Claimant::default());
        let seat = Seat::new(Arc::clone(&claimant) as Arc<dyn Grantee>, "channel".into());
        seats.take("me", &seat);
        (claimant, seat)
    }

    #[test]
    fn who_is_granted_the_lock_is_told_at_once_and_who_is_to_look_when_it_asks() {
        let mut seats = Seats::default();
        let (claimant, seat) = seated(&mut seats);
        let told = Told {
            fence: Fence::from(7),
            question: 2,
        };
        seats.of("me").unwrap().tell(Some(told));
        assert_eq!(*claimant.0.lock().unwrap(), [told]);
        assert!(seat.look.notified().now_or_never().is_none());
        seats.of("me").unwrap().tell(None);
        assert!(seat.look.notified().now_or_never().is_some());
        assert!(seats.of("you").is_none());
    }

    #[test]
    fn who_leaves_does_not_take_the_seat_of_its_successor() {
        let mut seats = Seats::default();
        let (_, first) = seated(&mut seats);
        let (_, second) = seated(&mut seats);
        seats.leave("me", &first);
        assert!(Arc::ptr_eq(&seats.of("me").unwrap(), &second));
        seats.leave("me", &second);
        assert!(seats.of("me").is_none());
    }
}
