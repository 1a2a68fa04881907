//! One server, as operations see it: a connection for everything, and one for what waits for replicas.

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, Pipeline, Value, cmd};
use tokio::sync::watch;
use tokio::time::Instant;

use super::super::{Applied, Failure, FailureKind};
use super::answer::{self, Vote};
use super::connection::{Connection, Refusal};
use super::place::Place;
use super::script::ScriptCall;

/// The longest that replicas have for their confirmation.
const REPLICAS: Duration = Duration::from_millis(500);

/// Both connections are made when they are first needed.
#[derive(Clone)]
pub(in crate::backend) struct Node {
    pub(super) commands: Connection,
    /// WAIT blocks all that comes after it on its connection, and counts the writes of its own connection only: so the
    /// acquires that it confirms have one of their own, and renewals and releases never stand behind it.
    confirmed: Connection,
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
        Self {
            commands: Connection::new(Arc::clone(&place), Arc::clone(replaced)),
            confirmed: Connection::new(place, Arc::clone(replaced)),
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
            Some(confirmation) => self.confirmed(call, confirmation, deadline).await,
        }
    }

    /// As [`ask`](Self::ask), for a slot that is on its way to this node.
    pub(super) async fn ask_early(
        &self,
        call: &ScriptCall,
        confirmation: Option<&Confirmation>,
        deadline: Instant,
    ) -> Result<Value, Refusal> {
        let connection = match confirmation {
            None => &self.commands,
            Some(_) => &self.confirmed,
        };
        let mut commands = Pipeline::with_capacity(2);
        // In full, because there is no second chance: a NOSCRIPT would use up the ASKING.
        commands.add_command(cmd("ASKING")).add_command(call.in_full());
        let replies = connection.together(&commands, deadline).await?;
        let reply = some(replies.into_iter().nth(1))?;
        match confirmation {
            Some(confirmation) if granted(&reply) => {
                let waited = connection
                    .command(&wait(confirmation.replicas, deadline), deadline)
                    .await;
                self.confirm(reply, waited, confirmation, deadline).await
            }
            _ => Ok(reply),
        }
    }

    /// The acquire and the question for the replicas in one round trip.
    async fn confirmed(
        &self,
        call: &ScriptCall,
        confirmation: &Confirmation,
        deadline: Instant,
    ) -> Result<Value, Refusal> {
        let with_wait = |call: Cmd| {
            let mut commands = Pipeline::with_capacity(2);
            commands
                .add_command(call)
                .add_command(wait(confirmation.replicas, deadline));
            commands
        };
        let by_hash = with_wait(call.by_hash().clone());
        let (reply, waited) = match self.pair(&by_hash, deadline).await {
            Err(Refusal::NoScript) => self.pair(&with_wait(call.in_full()), deadline).await?,
            pair => pair?,
        };
        if granted(&reply) {
            self.confirm(reply, waited, confirmation, deadline).await
        } else {
            Ok(reply)
        }
    }

    async fn pair(&self, commands: &Pipeline, deadline: Instant) -> Result<(Value, Result<Value, Refusal>), Refusal> {
        let mut replies = self.confirmed.together(commands, deadline).await?.into_iter();
        let first = some(replies.next())?;
        Ok((first, some(replies.next())))
    }

    async fn confirm(
        &self,
        reply: Value,
        waited: Result<Value, Refusal>,
        confirmation: &Confirmation,
        deadline: Instant,
    ) -> Result<Value, Refusal> {
        let wanted = confirmation.replicas;
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
        let undone = self.confirmed.ask(&confirmation.undo, deadline).await;
        let applied = match undone {
            Ok(_) => Applied::No,
            Err(_) => Applied::Unknown,
        };
        Err(Failure { applied, ..failure }.into())
    }
}

fn some(reply: Option<Result<Value, Refusal>>) -> Result<Value, Refusal> {
    reply.unwrap_or_else(|| Err(answer::unexpected(&Value::Nil).into()))
}

fn granted(reply: &Value) -> bool {
    matches!(answer::vote(reply), Ok(Vote::Granted(_) | Vote::WithoutFence))
}

/// Half of the time that is left: the other half is for taking the lease back.
fn wait(replicas: usize, deadline: Instant) -> Cmd {
    let time = (deadline.saturating_duration_since(Instant::now()) / 2).min(REPLICAS);
    let mut wait = cmd("WAIT");
    // Never 0, which would wait for ever.
    wait.arg(replicas).arg(time.as_millis().max(1).to_string());
    wait
}
