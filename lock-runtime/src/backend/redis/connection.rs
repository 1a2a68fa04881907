//! The connection for commands: one, multiplexed, replaced when it is dead or does not answer.
//!
//! The client library's own manager is not used: it never reconnects after time-outs, and while a server is dead its
//! commands wait up to 9.4 s for the reconnection, whatever their response time-out says (measured, redis 1.8.1).

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, Pipeline, RedisError, ServerErrorKind, Value};
use tokio::sync::{OwnedMutexGuard, watch};
use tokio::time::{Instant, timeout, timeout_at};

use super::super::{Applied, Failure, FailureKind};
use super::door::Door;
use super::failure::{classify, no_answer};
use super::place::Place;
use super::script::ScriptCall;

/// How long a server may take to say whether it may be used.
const VET: Duration = Duration::from_secs(2);
/// An answer that is missing for so long means that the connection is no good. One that is missing for less may only
/// mean that the lease is short; then it takes [`MISSED`] of them in a row.
const GIVE_UP: Duration = Duration::from_millis(250);
const MISSED: u32 = 3;

#[derive(Clone)]
pub(in crate::backend) struct Connection(Arc<Shared>);

struct Shared {
    place: Arc<dyn Place>,
    /// Counts how often the place moved, where it can.
    moved: Option<watch::Receiver<u64>>,
    /// Counts the connections that took the place of another one: what was stored may be gone then.
    replaced: Arc<watch::Sender<u64>>,
    /// Whether there was a connection before.
    used: AtomicBool,
    /// The present connection. A std mutex, held for a clone.
    live: Mutex<Option<Live>>,
    /// Held while connecting, so that many callers make one connection. Tokio's, because it is held across awaits.
    connecting: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Clone)]
struct Live {
    /// Tells connections apart, so that a late failure of an old one does not end its successor.
    number: u64,
    /// How often the place had moved when it was made.
    moves: u64,
    connection: MultiplexedConnection,
    /// How many answers in a row were missing.
    missed: Arc<AtomicU32>,
}

impl Connection {
    pub(in crate::backend) fn new(place: Arc<dyn Place>, replaced: Arc<watch::Sender<u64>>) -> Self {
        Self(Arc::new(Shared {
            moved: place.moves(),
            place,
            replaced,
            used: AtomicBool::new(false),
            live: Mutex::new(None),
            connecting: Arc::default(),
        }))
    }

    pub(super) fn place(&self) -> &Arc<dyn Place> {
        &self.0.place
    }

    /// One call of a script. When the server does not know it (a restart, SCRIPT FLUSH, a failover), a second round
    /// trip sends its text.
    pub(super) async fn ask(&self, call: &ScriptCall, deadline: Instant) -> Result<Value, Refusal> {
        match self.send_until(&One(call.by_hash()), deadline).await {
            Err(Refusal::NoScript) => self.send_until(&One(&call.in_full()), deadline).await,
            answer => answer,
        }
    }

    /// One plain command.
    pub(in crate::backend) async fn command(&self, command: &Cmd, deadline: Instant) -> Result<Value, Refusal> {
        self.send_until(&One(command), deadline).await
    }

    /// Several commands that nothing comes between; a reply for each, in order.
    pub(in crate::backend) async fn together(
        &self,
        commands: &Pipeline,
        deadline: Instant,
    ) -> Result<Vec<Result<Value, Refusal>>, Refusal> {
        match self.exchange(&Together(commands), deadline).await? {
            (live, Value::Array(replies)) => Ok(replies
                .into_iter()
                .map(|reply| match reply {
                    Value::ServerError(error) => Err(self.0.refused(&live, error.into())),
                    reply => Ok(reply),
                })
                .collect()),
            (_, other) => Err(super::answer::unexpected(&other).into()),
        }
    }

    /// Which connection it is at present; 0: none.
    pub(super) fn number(&self) -> u64 {
        self.0.present().map_or(0, |live| live.number)
    }

    async fn send_until(&self, message: &impl Message, deadline: Instant) -> Result<Value, Refusal> {
        Ok(self.exchange(message, deadline).await?.1)
    }

    async fn exchange(&self, message: &impl Message, deadline: Instant) -> Result<(Live, Value), Refusal> {
        let mut live = match timeout_at(deadline, Shared::live(&self.0)).await {
            Ok(live) => live.map_err(Refusal::Elsewhere)?,
            Err(_) => return Err(Refusal::Elsewhere(no_answer("connecting to", Applied::NotSent))),
        };
        let sent = Instant::now();
        let answer = timeout_at(deadline, message.send(&mut live.connection)).await;
        if answer.is_ok() {
            live.missed.store(0, Ordering::Relaxed);
        }
        match answer {
            Ok(Ok(Value::ServerError(error))) => Err(self.0.refused(&live, error.into())),
            Ok(Ok(reply)) => Ok((live, reply)),
            Ok(Err(error)) => Err(self.0.refused(&live, error)),
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
}

/// What an error means, and whether the connection is not to be relied on any more.
pub(super) fn refusal(error: RedisError) -> (Refusal, bool) {
    use ServerErrorKind::{MasterDown, NoScript, ReadOnly};
    let broken = match error.kind() {
        ErrorKind::Server(NoScript) => return (Refusal::NoScript, false),
        // The address may lead to the new master by now, but this connection never will.
        ErrorKind::Server(ReadOnly | MasterDown) => true,
        ErrorKind::Server(_) | ErrorKind::Extension => false,
        // Everything but the server's own word.
        _ => true,
    };
    let refusal = match (error.kind(), error.redirect_node()) {
        (ErrorKind::Server(ServerErrorKind::Moved), Some((address, _))) => Refusal::Moved(address.to_owned()),
        (ErrorKind::Server(ServerErrorKind::Ask), Some((address, _))) => Refusal::Ask(address.to_owned()),
        (ErrorKind::Server(ServerErrorKind::TryAgain), _) => Refusal::TryAgain(classify(error)),
        (ErrorKind::Server(ServerErrorKind::ClusterDown | ReadOnly | MasterDown), _) => {
            Refusal::Elsewhere(classify(error))
        }
        _ => Refusal::Other(classify(error)),
    };
    (refusal, broken)
}

/// What goes over a connection in one piece.
trait Message {
    async fn send(&self, connection: &mut MultiplexedConnection) -> redis::RedisResult<Value>;
}

struct One<'a>(&'a Cmd);

impl Message for One<'_> {
    async fn send(&self, connection: &mut MultiplexedConnection) -> redis::RedisResult<Value> {
        connection.send_packed_command(self.0).await
    }
}

struct Together<'a>(&'a Pipeline);

impl Message for Together<'_> {
    async fn send(&self, connection: &mut MultiplexedConnection) -> redis::RedisResult<Value> {
        let replies = connection.send_packed_commands(self.0, 0, self.0.len()).await?;
        Ok(Value::Array(replies))
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
        // Before the question: a move after it is not missed.
        let moves = self.moves();
        let door = self.place.door().await?;
        let connection = self.open(&door).await?;
        let live = Live {
            number: fastrand::u64(1..),
            moves,
            connection,
            missed: Arc::default(),
        };
        *self.slot() = Some(live.clone());
        if self.used.swap(true, Ordering::Relaxed) {
            self.replaced.send_modify(|count| *count += 1);
        }
        Ok(live)
    }

    async fn open(&self, door: &Door) -> Result<MultiplexedConnection, Failure> {
        let mut connection = door.open().await?;
        // Nothing of an operation was sent yet.
        vet(&*self.place, door, &mut connection).await?;
        Ok(connection)
    }

    /// The present connection, if it leads to where the place is now.
    fn present(&self) -> Option<Live> {
        let live = self.slot().clone()?;
        (live.moves == self.moves()).then_some(live)
    }

    fn moves(&self) -> u64 {
        self.moved.as_ref().map_or(0, |moved| *moved.borrow())
    }

    fn refused(&self, live: &Live, error: RedisError) -> Refusal {
        let (refusal, broken) = refusal(error);
        if broken {
            self.replace(live.number);
        }
        refusal
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

/// Asks the server of a new connection whether it may be used.
pub(super) async fn vet(place: &dyn Place, door: &Door, connection: &mut MultiplexedConnection) -> Result<(), Failure> {
    match timeout(VET, place.vet(door, connection)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(failure)) => Err(Failure {
            applied: Applied::No,
            ..failure
        }),
        Err(_) => Err(no_answer("waiting for the first answer of", Applied::No)),
    }
}

/// Why a command has no reply.
pub(in crate::backend) enum Refusal {
    NoScript,
    /// Another node of the cluster has the slot.
    Moved(String),
    /// The slot is on its way to another node, and the key may be there already.
    Ask(String),
    /// The slot is on its way to another node, and some of the keys are there already.
    TryAgain(Failure),
    /// Nothing was done, and this server is not the right one, or not there.
    Elsewhere(Failure),
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
            Refusal::Other(failure) | Refusal::TryAgain(failure) | Refusal::Elsewhere(failure) => failure,
            Refusal::NoScript => refused("the server forgot a script that it had just been sent"),
            Refusal::Moved(_) | Refusal::Ask(_) => Self {
                kind: FailureKind::Permanent,
                ..refused("this is a node of a Redis Cluster, which is reached by redis+cluster://host:port,host:port")
            },
        }
    }
}

fn refused(reason: &str) -> Failure {
    Failure {
        kind: FailureKind::Transient,
        applied: Applied::No,
        reason: reason.to_owned(),
        source: None,
    }
}
