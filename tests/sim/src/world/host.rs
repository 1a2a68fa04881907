//! A simulated server's software: it accepts, reads commands, and answers.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, mpsc};
use turmoil::net::{TcpListener, TcpStream};

use crate::server::{Server, resp};

/// Where every server listens.
pub(super) const PORT: u16 = 6379;

/// A server and the switch that makes it hang.
#[derive(Clone)]
pub(super) struct Host {
    server: Arc<Mutex<Server>>,
    /// Not tokio's `watch`, which wakes in a random order.
    frozen: Arc<(AtomicBool, Notify)>,
}

impl Host {
    pub(super) fn new(server: Server) -> Self {
        Self {
            server: Arc::new(Mutex::new(server)),
            frozen: Arc::default(),
        }
    }

    /// Never held across an await.
    pub(super) fn server(&self) -> MutexGuard<'_, Server> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on it carries out nothing, or all that has come.
    pub(super) fn freeze(&self, frozen: bool) {
        let (state, changed) = &*self.frozen;
        state.store(frozen, Ordering::Relaxed);
        changed.notify_waiters();
    }

    async fn thawed(&self) {
        let (state, changed) = &*self.frozen;
        while state.load(Ordering::Relaxed) {
            changed.notified().await;
        }
    }

    /// One life of the software.
    pub(super) async fn serve(self) -> turmoil::Result {
        self.server().start(turmoil::sim_elapsed().unwrap_or_default());
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::task::spawn_local(self.clone().connection(stream));
        }
    }

    async fn connection(self, stream: TcpStream) {
        let (mut incoming, mut outgoing) = stream.into_split();
        let (outbox, mut replies) = mpsc::unbounded_channel::<Vec<u8>>();
        let id = self.server().connect(outbox);
        tokio::task::spawn_local(async move {
            while let Some(bytes) = replies.recv().await {
                if outgoing.write_all(&bytes).await.is_err() {
                    return;
                }
            }
        });
        let mut buffer = Vec::new();
        let mut chunk = [0; 4096];
        while let Ok(read @ 1..) = incoming.read(&mut chunk).await {
            buffer.extend_from_slice(&chunk[..read]);
            // What it has received is carried out when it goes on, whoever still waits for the answer.
            while let Ok(Some(command)) = resp::next_command(&mut buffer) {
                self.thawed().await;
                let now = turmoil::sim_elapsed().unwrap_or_default();
                self.server().handle(id, &command, now);
            }
        }
        self.server().disconnect(id);
    }
}
