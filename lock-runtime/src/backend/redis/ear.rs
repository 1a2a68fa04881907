//! What is said on a lane: the channel that one connection listens to, beside its requests.
//!
//! A word that arrives on the runtime of the caller for whom it is needs no change of threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};

use redis::aio::SendError;
use redis::{PushInfo, PushKind, Value};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::super::armed::{Armed, Watcher};
use super::wakeups::Wakeups;

/// One side: the connection, also before it is there. Dropped, nothing is heard any more.
pub(super) struct Listening {
    channel: Arc<str>,
    /// The subscription is confirmed.
    armed: Armed,
    /// Nothing is heard any more, or never will be.
    over: CancellationToken,
}

/// The other side: a claim that is to be told something there.
pub(super) struct Ear {
    channel: Arc<str>,
    armed: Watcher,
    over: CancellationToken,
    /// Counts how often the place moved: a connection from before leads to another server.
    moved: Option<watch::Receiver<u64>>,
}

impl Listening {
    /// And the first who listens.
    pub(super) fn new(channel: String, moved: Option<watch::Receiver<u64>>) -> (Self, Ear) {
        let (channel, armed, over) = (Arc::from(channel), Armed::default(), CancellationToken::new());
        let ear = Ear {
            channel: Arc::clone(&channel),
            armed: armed.watch(),
            over: over.clone(),
            moved,
        };
        (Self { channel, armed, over }, ear)
    }

    /// What the connection is to listen to, and what it does with what the server says by itself.
    pub(super) fn subscription(
        &self,
        wakeups: Weak<Wakeups>,
    ) -> (Arc<str>, impl Fn(PushInfo) -> Result<(), SendError> + use<>) {
        let (armed, over) = (self.armed.clone(), self.over.clone());
        let pushes = move |push: PushInfo| {
            match (push.kind, push.data.last()) {
                (PushKind::Message, Some(Value::BulkString(message))) => {
                    if let Some(wakeups) = wakeups.upgrade() {
                        // A subscriber that panics when it hears of the grant must not end the connection. What is told
                        // arrives all the same (`waiter`), and the panic hook has noted it.
                        drop(catch_unwind(AssertUnwindSafe(|| wakeups.tell(message))));
                    }
                }
                (PushKind::Subscribe, _) => armed.set(true),
                (PushKind::Disconnection, _) => over.cancel(),
                _ => {}
            }
            Ok(())
        };
        (Arc::clone(&self.channel), pushes)
    }

    /// Of a claim, unless nothing is heard any more.
    pub(super) fn ear(&self, moved: Option<watch::Receiver<u64>>) -> Option<Ear> {
        (!self.over.is_cancelled()).then(|| Ear {
            channel: Arc::clone(&self.channel),
            armed: self.armed.watch(),
            over: self.over.clone(),
            moved,
        })
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.over.cancel();
    }
}

impl Ear {
    pub(super) fn channel(&self) -> &Arc<str> {
        &self.channel
    }

    /// Resolves when something may have been missed: the subscription is only confirmed now, or (true) nothing is heard
    /// there any more. Cancel safe.
    pub(super) async fn missed(&mut self) -> bool {
        let moved = async {
            match &mut self.moved {
                Some(moved) => drop(moved.changed().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.over.cancelled() => true,
            () = moved => true,
            () = self.armed.changed() => false,
        }
    }

    /// Resolves when something is heard there, or (false) never will be. Cancel safe.
    #[cfg(any(feature = "queue", test))]
    pub(super) async fn armed(&mut self) -> bool {
        tokio::select! {
            biased;
            () = self.over.cancelled() => false,
            () = self.armed.armed() => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn push(kind: PushKind) -> PushInfo {
        PushInfo { kind, data: Vec::new() }
    }

    #[test]
    fn an_ear_hears_as_long_as_its_connection_lives_and_leads_there() {
        let (listening, mut ear) = Listening::new("channel".to_owned(), None);
        let (channel, pushes) = listening.subscription(Weak::new());
        assert_eq!(ear.channel(), &channel);
        assert!(ear.armed().now_or_never().is_none());
        pushes(push(PushKind::Subscribe)).unwrap();
        assert_eq!(ear.missed().now_or_never(), Some(false));
        assert_eq!(ear.missed().now_or_never(), None);
        assert_eq!(ear.armed().now_or_never(), Some(true));
        let moves = watch::Sender::new(0);
        let mut elsewhere = listening.ear(Some(moves.subscribe())).unwrap();
        assert_eq!(elsewhere.missed().now_or_never(), None);
        moves.send_modify(|count| *count += 1);
        assert_eq!(elsewhere.missed().now_or_never(), Some(true));
        pushes(push(PushKind::Disconnection)).unwrap();
        assert_eq!(ear.missed().now_or_never(), Some(true));
        assert!(listening.ear(None).is_none());
    }

    #[test]
    fn where_a_connection_never_comes_an_ear_learns_that() {
        let (listening, mut ear) = Listening::new("channel".to_owned(), None);
        drop(listening);
        assert_eq!(ear.armed().now_or_never(), Some(false));
    }
}
