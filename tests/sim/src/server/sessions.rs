//! Who is connected, and who listens to which channel.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use super::resp::Reply;
use super::{Server, commands};

/// Tells connections apart, in all lives of a server.
pub type SessionId = u64;

/// Where a connection's bytes go.
pub type Outbox = UnboundedSender<Vec<u8>>;

pub(super) struct Session {
    pub(super) database: u8,
    channels: BTreeSet<Vec<u8>>,
    outbox: Outbox,
}

impl Server {
    /// A connection came.
    pub fn connect(&mut self, outbox: Outbox) -> SessionId {
        self.next_session += 1;
        let session = Session {
            database: 0,
            channels: BTreeSet::new(),
            outbox,
        };
        self.sessions.insert(self.next_session, session);
        self.next_session
    }

    /// A connection went.
    pub fn disconnect(&mut self, id: SessionId) {
        self.sessions.remove(&id);
    }

    /// Carries out a command, and puts the reply into the connection's outbox.
    pub fn handle(&mut self, id: SessionId, command: &[Vec<u8>], at: Duration) {
        let reply = self.execute(id, command, at).encode();
        if let Some(session) = self.sessions.get(&id) {
            // A connection that has just gone needs no reply.
            let _ = session.outbox.send(reply);
        }
    }

    /// In the second version of the protocol, a connection that listens may do little else.
    pub(super) fn refuse(&self, id: SessionId, name: &str) -> Option<Reply> {
        let listens = self
            .sessions
            .get(&id)
            .is_some_and(|session| !session.channels.is_empty());
        let allowed = ["subscribe", "unsubscribe", "ping", "quit", "reset"].contains(&name);
        (listens && !allowed).then(|| {
            Reply::Error(format!(
                "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
            ))
        })
    }

    pub(super) fn subscribe(&mut self, id: SessionId, channels: &[Vec<u8>]) -> Reply {
        let Some(session) = self.sessions.get_mut(&id) else {
            return commands::wrong_arguments("subscribe");
        };
        let replies = channels.iter().map(|channel| {
            session.channels.insert(channel.clone());
            notice("subscribe", Reply::bulk(channel.as_slice()), session.channels.len())
        });
        Reply::Each(replies.collect())
    }

    pub(super) fn unsubscribe(&mut self, id: SessionId, channels: &[Vec<u8>]) -> Reply {
        let Some(session) = self.sessions.get_mut(&id) else {
            return commands::wrong_arguments("unsubscribe");
        };
        let channels: Vec<_> = if channels.is_empty() {
            session.channels.iter().cloned().collect()
        } else {
            channels.to_vec()
        };
        if channels.is_empty() {
            return notice("unsubscribe", Reply::Nil, 0);
        }
        let replies = channels.into_iter().map(|channel| {
            session.channels.remove(&channel);
            notice("unsubscribe", Reply::Bulk(channel), session.channels.len())
        });
        Reply::Each(replies.collect())
    }

    /// To everybody who listens; how many that are.
    pub(super) fn publish(&mut self, channel: &[u8], message: &[u8]) -> i64 {
        let mut heard = 0;
        for session in self
            .sessions
            .values()
            .filter(|session| session.channels.contains(channel))
        {
            let parts = [b"message", channel, message].map(Reply::bulk);
            heard += i64::from(session.outbox.send(Reply::Array(parts.into()).encode()).is_ok());
        }
        heard
    }

    pub(super) fn select(&mut self, id: SessionId, index: &[u8]) -> Reply {
        match (
            String::from_utf8_lossy(index).parse::<i64>(),
            self.sessions.get_mut(&id),
        ) {
            (Ok(index), Some(session)) if (0..16).contains(&index) => {
                session.database = u8::try_from(index).unwrap_or_default();
                Reply::Status("OK")
            }
            (Ok(_), _) => Reply::error("ERR DB index is out of range"),
            (Err(_), _) => Reply::error("ERR value is not an integer or out of range"),
        }
    }
}

fn notice(kind: &str, channel: Reply, count: usize) -> Reply {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    Reply::Array(vec![Reply::bulk(kind), channel, Reply::Int(count)])
}
