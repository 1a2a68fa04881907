//! The connection for commands: one, multiplexed, replaced when it is dead or does not answer.
//!
//! The client library's own manager is not used: it never reconnects after time-outs, and while a server is dead its
//! commands wait up to 9.4 s for the reconnection, whatever their response time-out says (measured, redis 1.8.1).

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, ErrorKind, RedisError, ServerErrorKind, Value};
use tokio::sync::OwnedMutexGuard;
use tokio::time::{Instant, timeout, timeout_at};

use super::super::{Applied, Failure, FailureKind};
use super::failure::{classify, no_answer};
use super::script::ScriptCall;

/// How long connecting may take, the handshake included. Operations wait as long as they may, and the next one finds
/// the connection.
const CONNECT: Duration = Duration::from_secs(3);
/// An answer that is missing for so long means that the connection is no good. One that is missing for less may only
/// mean that the lease is short; then it takes [`MISSED`] of them in a row.
const GIVE_UP: Duration = Duration::from_millis(250);
const MISSED: u32 = 3;

pub(super) struct Connection(Arc<Shared>);

struct Shared {
    client: Client,
    /// The present connection. A std mutex, held for a clone.
    live: Mutex<Option<Live>>,
    /// Held while connecting, so that many callers make one connection. Tokio's, because it is held across awaits.
    connecting: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Clone)]
struct Live {
    /// Tells connections apart, so that a late failure of an old one does not end its successor.
    number: u64,
    connection: MultiplexedConnection,
    /// How many answers in a row were missing.
    missed: Arc<AtomicU32>,
}

impl Connection {
    pub(super) fn new(client: Client) -> Self {
        Self(Arc::new(Shared {
            client,
            live: Mutex::new(None),
            connecting: Arc::default(),
        }))
    }

    pub(super) fn client(&self) -> &Client {
        &self.0.client
    }

    /// One call of a script. When the server does not know it (a restart, SCRIPT FLUSH, a failover), a second round
    /// trip sends its text.
    pub(super) async fn run(&self, call: ScriptCall, within: Duration) -> Result<Value, Failure> {
        let deadline = Instant::now() + within;
        match self.send_until(call.by_hash(), deadline).await {
            Err(Refusal::NoScript) => match self.send_until(&call.in_full(), deadline).await {
                Ok(reply) => Ok(reply),
                Err(refusal) => Err(refusal.into()),
            },
            Ok(reply) => Ok(reply),
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// As [`run`](Self::run), and once more when the connection turned out to be dead: for questions whose repetition
    /// changes nothing.
    pub(super) async fn run_twice(&self, call: impl Fn() -> ScriptCall, within: Duration) -> Result<Value, Failure> {
        let first = self.run(call(), within / 2).await;
        match first {
            Err(failure) if failure.kind == FailureKind::Transient && failure.applied == Applied::Unknown => {
                self.run(call(), within / 2).await
            }
            answer => answer,
        }
    }

    /// Which connection it is at present; 0: none.
    pub(super) fn number(&self) -> u64 {
        self.0.present().map_or(0, |live| live.number)
    }

    async fn send_until(&self, command: &Cmd, deadline: Instant) -> Result<Value, Refusal> {
        let mut live = match timeout_at(deadline, Shared::live(&self.0)).await {
            Ok(live) => live?,
            Err(_) => return Err(no_answer("connecting to", Applied::No).into()),
        };
        let sent = Instant::now();
        let answer = timeout_at(deadline, live.connection.send_packed_command(command)).await;
        if answer.is_ok() {
            live.missed.store(0, Ordering::Relaxed);
        }
        match answer {
            Ok(Ok(Value::ServerError(error))) => Err(self.refused(&live, error.into())),
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(error)) => Err(self.refused(&live, error)),
            Err(_) => {
                // The library keeps such a connection for ever; a server that hung and came back, or a half-open
                // connection, would cost every later command its whole deadline.
                let missed = live.missed.fetch_add(1, Ordering::Relaxed) + 1;
                if sent.elapsed() >= GIVE_UP || missed >= MISSED {
                    self.0.replace(live.number);
                }
                Err(no_answer("waiting for an answer of", Applied::Unknown).into())
            }
        }
    }

    /// What an error means, also for the connection.
    fn refused(&self, live: &Live, error: RedisError) -> Refusal {
        use ServerErrorKind::{MasterDown, NoScript, ReadOnly};
        match error.kind() {
            ErrorKind::Server(NoScript) => return Refusal::NoScript,
            // The address may lead to the new master by now, but this connection never will.
            ErrorKind::Server(ReadOnly | MasterDown) => self.0.replace(live.number),
            ErrorKind::Server(_) | ErrorKind::Extension => {}
            // Everything but the server's own word means that the connection is not to be relied on any more.
            _ => self.0.replace(live.number),
        }
        Refusal::Other(classify(error))
    }
}

impl Shared {
    /// The present connection, or a new one.
    ///
    /// Cancel safe: a connection that was begun is made all the same, for the next caller. A lease with a short ttl
    /// leaves its renewal less time than a slow handshake takes.
    async fn live(this: &Arc<Self>) -> Result<Live, Failure> {
        if let Some(live) = this.present() {
            return Ok(live);
        }
        let alone = Arc::clone(&this.connecting).lock_owned().await;
        if let Some(live) = this.present() {
            return Ok(live);
        }
        let connecting = tokio::spawn(Self::connect(Arc::clone(this), alone));
        match connecting.await {
            Ok(connected) => connected,
            Err(_) => Err(no_answer("connecting to", Applied::No)),
        }
    }

    async fn connect(self: Arc<Self>, _alone: OwnedMutexGuard<()>) -> Result<Live, Failure> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            // Ours are around everything, and the library's response timeout costs 3 % (measured).
            .set_response_timeout(None);
        let connecting = self.client.get_multiplexed_async_connection_with_config(&config);
        // Nothing of an operation was sent yet, whatever goes wrong.
        let connection = match timeout(CONNECT, connecting).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => {
                return Err(Failure {
                    applied: Applied::No,
                    ..classify(error)
                });
            }
            Err(_) => return Err(no_answer("connecting to", Applied::No)),
        };
        let live = Live {
            number: fastrand::u64(1..),
            connection,
            missed: Arc::default(),
        };
        *self.slot() = Some(live.clone());
        Ok(live)
    }

    fn present(&self) -> Option<Live> {
        self.slot().clone()
    }

    fn replace(&self, number: u64) {
        let mut slot = self.slot();
        if slot.as_ref().is_some_and(|live| live.number == number) {
            *slot = None;
        }
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a command has no reply.
enum Refusal {
    NoScript,
    Other(Failure),
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Other(failure) => failure,
            Refusal::NoScript => Self {
                kind: FailureKind::Transient,
                applied: Applied::No,
                reason: "the server forgot a script that it had just been sent".to_owned(),
                source: None,
            },
        }
    }
}
