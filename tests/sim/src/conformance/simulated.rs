//! The simulated server as one side of the comparison.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::Target;
use crate::server::{Server, ServerClock, SessionId, resp};

/// A server of its own, without a network.
pub struct Simulated {
    server: Server,
    now: Duration,
    connections: BTreeMap<usize, Connection>,
}

struct Connection {
    id: SessionId,
    replies: UnboundedReceiver<Vec<u8>>,
    /// Bytes that are no whole command yet.
    unread: Vec<u8>,
}

impl Default for Simulated {
    fn default() -> Self {
        let mut server = Server::new("s1", ServerClock::default());
        server.start(Duration::ZERO);
        Self {
            server,
            now: Duration::ZERO,
            connections: BTreeMap::new(),
        }
    }
}

impl Target for Simulated {
    fn send(&mut self, connection: usize, bytes: &[u8]) {
        // So that no two fences come from the same microsecond, as on a real server.
        self.now += Duration::from_micros(50);
        let Connection { id, unread, .. } = self.connections.entry(connection).or_insert_with(|| {
            let (outbox, replies) = unbounded_channel();
            Connection {
                id: self.server.connect(outbox),
                replies,
                unread: Vec::new(),
            }
        });
        unread.extend_from_slice(bytes);
        while let Ok(Some(command)) = resp::next_command(unread) {
            self.server.handle(*id, &command, self.now);
        }
    }

    fn receive(&mut self, connection: usize) -> Vec<u8> {
        let connection = self.connections.get_mut(&connection);
        let bytes = connection.and_then(|connection| connection.replies.try_recv().ok());
        // Nothing can come later: it is an answer of its own, and an unlike one.
        bytes.unwrap_or_else(|| b"-the simulated server does not answer\r\n".to_vec())
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
    }
}
