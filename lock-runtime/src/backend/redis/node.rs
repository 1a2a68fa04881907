//! One server, as operations see it: a connection for everything, and some for what waits for replicas.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::{Cmd, Pipeline, Value, cmd};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout_at};

use super::super::{Acquired, Applied, Failure, FailureKind};
use super::answer;
use super::connection::{Connection, Refusal};
use super::place::Place;
use super::script::ScriptCall;

/// The longest that replicas have for their confirmation.
const REPLICAS: Duration = Duration::from_millis(500);
/// How many acquires may wait for replicas at a time.
const WAITING: usize = 16;

/// Connections are made when they are first needed.
#[derive(Clone)]
pub(in crate::backend) struct Node {
    pub(super) commands: Connection,
    waiting: Arc<Waiting>,
}

/// The connections of acquires that wait for replicas.
///
/// WAIT blocks all that comes after it on its connection, and counts the writes of its own connection only. So acquire,
/// WAIT and the taking back have a connection to themselves for that time, and nobody stands behind them.
struct Waiting {
    place: Arc<dyn Place>,
    replaced: Arc<watch::Sender<u64>>,
    slots: Semaphore,
    /// Those that nobody uses just now. A std mutex, held to take one out.
    idle: Mutex<Vec<Connection>>,
}

impl Waiting {
    fn connection(&self) -> Connection {
        let idle = self.idle().pop();
        idle.unwrap_or_else(|| Connection::new(Arc::clone(&self.place), Arc::clone(&self.replaced)))
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an acquire wants beyond the server's own word.
pub(super) struct Confirmation {
    /// So many replicas have the lease too.
    pub(super) replicas: usize,
    /// Takes it back if they do not.
    pub(super) undo: ScriptCall,
}

impl Node {
    pub(in crate::backend) fn new(place: Arc<dyn Place>, replaced: &Arc<watch::Sender<u64>>) -> Self {
        let waiting = Waiting {
            place: Arc::clone(&place),
            replaced: Arc::clone(replaced),
            slots: Semaphore::new(WAITING),
            idle: Mutex::default(),
        };
        Self {
            commands: Connection::new(place, Arc::clone(replaced)),
            waiting: Arc::new(waiting),
        }
    }

    pub(super) async fn ask(
        &self,
        call: &ScriptCall,
        confirmation: Option<&Confirmation>,
        deadline: Instant,
    ) -> Result<Value, Refusal> {
        match confirmation {
            None => self.commands.ask(call, deadline).await,
            Some(confirmation) => self.confirmed(call, false, confirmation, deadline).await,
        }
    }

    /// As [`ask`](Self::ask), for a slot that is on its way to this node.
    pub(super) async fn ask_early(
        &self,
        call: &ScriptCall,
        confirmation: Option<&Confirmation>,
        deadline: Instant,
    ) -> Result<Value, Refusal> {
        match confirmation {
            None => early(&self.commands, call, deadline).await,
            Some(confirmation) => self.confirmed(call, true, confirmation, deadline).await,
        }
    }

    /// The acquire, and the question for the replicas only where it was granted: a conflict waits for nobody.
    async fn confirmed(
        &self,
        call: &ScriptCall,
        is_early: bool,
        confirmation: &Confirmation,
        deadline: Instant,
    ) -> Result<Value, Refusal> {
        let slot = timeout_at(deadline, self.waiting.slots.acquire()).await;
        let Ok(Ok(_slot)) = slot else {
            return Err(crowded().into());
        };
        let connection = self.waiting.connection();
        let reply = if is_early {
            early(&connection, call, deadline).await?
        } else {
            connection.ask(call, deadline).await?
        };
        let answer = if granted(&reply) {
            confirm(&connection, reply, confirmation, deadline).await
        } else {
            Ok(reply)
        };
        // Not where something is still under way on it: that is dropped with it, above and when the caller gives up.
        if answer.is_ok() {
            self.waiting.idle().push(connection);
        }
        answer
    }
}

async fn early(connection: &Connection, call: &ScriptCall, deadline: Instant) -> Result<Value, Refusal> {
    let mut commands = Pipeline::with_capacity(2);
    // In full, because there is no second chance: a NOSCRIPT would use up the ASKING.
    commands.add_command(cmd("ASKING")).add_command(call.in_full());
    let replies = connection.together(&commands, deadline).await?;
    let reply = replies.into_iter().nth(1);
    reply.unwrap_or_else(|| Err(answer::unexpected(&Value::Nil).into()))
}

async fn confirm(
    connection: &Connection,
    reply: Value,
    confirmation: &Confirmation,
    deadline: Instant,
) -> Result<Value, Refusal> {
    let wanted = confirmation.replicas;
    let waited = connection.command(&wait(wanted, deadline), deadline).await;
    let failure = match waited.map_err(Failure::from) {
        Ok(Value::Int(count)) if usize::try_from(count).is_ok_and(|count| count >= wanted) => return Ok(reply),
        Ok(Value::Int(count)) => Failure {
            kind: FailureKind::Transient,
            applied: Applied::Unknown,
            reason: format!(
                "{count} of {wanted} replicas (min_replicas) confirmed the lease in time; it was taken back"
            ),
            source: None,
        },
        Ok(other) => answer::unexpected(&other),
        Err(failure) => failure,
    };
    // On the same connection, so that it cannot overtake the acquire.
    let applied = match connection.ask(&confirmation.undo, deadline).await {
        Ok(_) => Applied::No,
        Err(_) => Applied::Unknown,
    };
    Err(Failure { applied, ..failure }.into())
}

fn granted(reply: &Value) -> bool {
    matches!(answer::acquired(reply), Ok(None | Some(Acquired::Granted(_))))
}

/// Everybody waits for replicas that do not answer.
fn crowded() -> Failure {
    Failure {
        kind: FailureKind::Transient,
        applied: Applied::NotSent,
        reason: format!("{WAITING} acquires wait for replicas (min_replicas) already; do the replicas answer?"),
        source: None,
    }
}

/// Half of the time that is left: the other half is for taking the lease back.
fn wait(replicas: usize, deadline: Instant) -> Cmd {
    let time = (deadline.saturating_duration_since(Instant::now()) / 2).min(REPLICAS);
    let mut wait = cmd("WAIT");
    // Never 0, which would wait for ever.
    wait.arg(replicas).arg(time.as_millis().max(1).to_string());
    wait
}
