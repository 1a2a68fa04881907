//! The connection for commands: one, multiplexed, replaced when it is dead or does not answer.
//!
//! The client library's own manager is not used: it never reconnects after time-outs, and while a server is dead its
//! commands wait up to 9.4 s for the reconnection, whatever their response time-out says (measured, redis 1.8.1).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, ErrorKind, RedisResult, ServerErrorKind, Value};
use tokio::time::{Instant, timeout_at};

use super::super::{Applied, Failure, FailureKind};
use super::failure::{classify, no_answer};
use super::script::ScriptCall;

/// How long connecting may take, the handshake included. Below the time that one operation has, so that its error
/// says what is wrong.
const CONNECT: Duration = Duration::from_millis(900);

pub(super) struct Connection {
    client: Client,
    /// The present connection. A std mutex, held for a clone.
    live: Mutex<Option<Live>>,
    /// Held while connecting, so that many callers make one connection. Tokio's, because it is held across awaits.
    connecting: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Live {
    /// Tells connections apart, so that a late failure of an old one does not end its successor.
    number: u64,
    connection: MultiplexedConnection,
}

impl Connection {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            live: Mutex::new(None),
            connecting: tokio::sync::Mutex::new(()),
        }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
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

    /// One plain command.
    pub(super) async fn send(&self, command: &Cmd, within: Duration) -> Result<Value, Failure> {
        let answer = self.send_until(command, Instant::now() + within).await;
        answer.map_err(Failure::from)
    }

    async fn send_until(&self, command: &Cmd, deadline: Instant) -> Result<Value, Refusal> {
        let mut live = match timeout_at(deadline, self.live()).await {
            Ok(live) => live?,
            Err(_) => return Err(no_answer("connecting to", Applied::No).into()),
        };
        match timeout_at(deadline, live.connection.send_packed_command(command)).await {
            Ok(Ok(Value::ServerError(error))) => Err(refusal(error.into())),
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(error)) => {
                // Everything but the server's own word means that the connection is not to be relied on any more.
                if !matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension) {
                    self.replace(live.number);
                }
                Err(refusal(error))
            }
            Err(_) => {
                // The library keeps such a connection for ever; a server that hung and came back, or a half-open
                // connection, would cost every later command its whole deadline.
                self.replace(live.number);
                Err(no_answer("waiting for an answer of", Applied::Unknown).into())
            }
        }
    }

    /// The present connection, or a new one.
    async fn live(&self) -> Result<Live, Failure> {
        if let Some(live) = self.present() {
            return Ok(live);
        }
        let _alone = self.connecting.lock().await;
        if let Some(live) = self.present() {
            return Ok(live);
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            // Ours is around every command, and the library's costs 3 % (measured).
            .set_response_timeout(None);
        let connecting = self.client.get_multiplexed_async_connection_with_config(&config);
        let connection: RedisResult<_> = connecting.await;
        // Nothing of the operation was sent yet, whatever went wrong.
        let connection = connection.map_err(|error| Failure {
            applied: Applied::No,
            ..classify(error)
        })?;
        let mut slot = self.slot();
        let live = Live {
            number: fastrand::u64(..),
            connection,
        };
        *slot = Some(live.clone());
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

fn refusal(error: redis::RedisError) -> Refusal {
    if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) {
        Refusal::NoScript
    } else {
        Refusal::Other(classify(error))
    }
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
