//! What is said on a lane: the channel that one connection listens to, beside its requests.
//!
//! A word that arrives on the runtime of the caller for whom it is needs no change of threads.

use std::sync::{Arc, Weak};

use redis::aio::SendError;
use redis::{PushInfo, PushKind, Value};
use tokio::sync::watch;

use super::super::armed::{Armed, Watcher};
use super::wakeups::Wakeups;

/// One side: the connection. Dropped, nothing is heard any more.
pub(super) struct Listening {
    channel: Arc<str>,
    armed: Armed,
}

/// The other side: a claim that is to be told something there.
pub(super) struct Ear {
    channel: Arc<str>,
    armed: Watcher,
    /// Counts how often the place moved: a connection from before leads to another server.
    moved: Option<watch::Receiver<u64>>,
}

impl Listening {
    pub(super) fn new(channel: String) -> Self {
        Self {
            channel: channel.into(),
            armed: Armed::default(),
        }
    }

    pub(super) fn channel(&self) -> &str {
        &self.channel
    }

    /// What the connection does with what the server says by itself.
    pub(super) fn pushes(&self, wakeups: Weak<Wakeups>) -> impl Fn(PushInfo) -> Result<(), SendError> + use<> {
        let armed = self.armed.clone();
        move |push| {
            match (push.kind, push.data.last()) {
                (PushKind::Message, Some(Value::BulkString(message))) => {
                    if let Some(wakeups) = wakeups.upgrade() {
                        wakeups.tell(message);
                    }
                }
                (PushKind::Disconnection, _) => armed.set(false),
                // The confirmation that it is subscribed, say.
                _ => {}
            }
            Ok(())
        }
    }

    /// The subscription is confirmed.
    pub(super) fn begins(&self) {
        self.armed.set(true);
    }

    /// Of a claim, unless nothing is heard any more.
    pub(super) fn ear(&self, moved: Option<watch::Receiver<u64>>) -> Option<Ear> {
        let armed = self.armed.watch();
        // After it began to watch.
        self.armed.is_armed().then(|| Ear {
            channel: Arc::clone(&self.channel),
            armed,
            moved,
        })
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.armed.set(false);
    }
}

impl Ear {
    pub(super) fn channel(&self) -> &Arc<str> {
        &self.channel
    }

    /// Resolves when nothing is heard there any more. Cancel safe.
    pub(super) async fn lost(&mut self) {
        let moved = async {
            match &mut self.moved {
                Some(moved) => drop(moved.changed().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.armed.changed() => {}
            () = moved => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn an_ear_hears_as_long_as_its_connection_lives_and_leads_there() {
        let listening = Listening::new("channel".to_owned());
        assert!(
            listening.ear(None).is_none(),
            "not before the subscription is confirmed"
        );
        listening.begins();
        let mut ears: Vec<_> = (0..3).map(|_| listening.ear(None).unwrap()).collect();
        assert!(ears[0].lost().now_or_never().is_none());
        let moves = watch::Sender::new(0);
        let mut elsewhere = listening.ear(Some(moves.subscribe())).unwrap();
        assert!(elsewhere.lost().now_or_never().is_none());
        moves.send_modify(|count| *count += 1);
        assert!(elsewhere.lost().now_or_never().is_some());
        let disconnection = PushInfo {
            kind: PushKind::Disconnection,
            data: Vec::new(),
        };
        listening.pushes(Weak::new())(disconnection).unwrap();
        assert!(ears[0].lost().now_or_never().is_some() && listening.ear(None).is_none());
        listening.begins();
        let mut ear = listening.ear(None).unwrap();
        drop(listening);
        assert!(ear.lost().now_or_never().is_some() && ears[1].lost().now_or_never().is_some());
    }
}
