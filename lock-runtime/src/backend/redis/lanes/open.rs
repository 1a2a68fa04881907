//! Opening a lane. On the lock thread: only the connection itself lives on the caller's runtime.

use std::sync::Arc;
use std::time::Instant;

use redis::aio::{AsyncPushSender, MultiplexedConnection};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::super::connection::vet;
use super::{Hearing, OPEN, PAUSE, Shared, State};

/// A lane that hears nothing.
pub(super) async fn open(shared: Arc<Shared>, caller: Handle, again: bool) {
    let moves = shared.moves();
    match timeout(OPEN, connect(&shared, &caller)).await {
        Ok(Opened::Connected(connection)) => {
            Shared::opened(&shared, &caller, moves, connection, Hearing::NotYet);
            if again {
                shared.replaced.send_modify(|count| *count += 1);
            }
        }
        Ok(Opened::Unable) => {
            shared.set(caller.id(), State::Without(None), false);
        }
        Ok(Opened::Failed) | Err(_) => {
            shared.set(caller.id(), State::Without(Some(Instant::now() + PAUSE)), false);
        }
    }
}

/// A lane that hears, in the place of whatever there is.
pub(super) async fn to_hear(
    shared: Arc<Shared>,
    caller: Handle,
    again: bool,
    channel: Arc<str>,
    pushes: impl AsyncPushSender,
) {
    let moves = shared.moves();
    match timeout(OPEN, connect_to_hear(&shared, &caller, &channel, pushes)).await {
        Ok(Some(connection)) => {
            if let Some(listening) = shared.listening(caller.id(), false) {
                Shared::opened(&shared, &caller, moves, connection, Hearing::Now(listening));
                if again {
                    shared.replaced.send_modify(|count| *count += 1);
                }
            }
        }
        Ok(None) | Err(_) => {
            tracing::debug!("nothing can be heard on the caller's runtime; messages come over the lock thread");
            drop(shared.listening(caller.id(), true));
        }
    }
}

enum Opened {
    Connected(MultiplexedConnection),
    Failed,
    /// This runtime has no input and output: tokio has panicked in the task.
    Unable,
}

async fn connect(shared: &Shared, caller: &Handle) -> Opened {
    let Ok(door) = shared.place.door().await else {
        return Opened::Failed;
    };
    let opening = door.clone();
    // It knows no limit of its own: ended with whoever waits for it.
    let connecting = AbortOnDropHandle::new(caller.spawn(async move { opening.multiplexed().await }));
    let mut connection = match connecting.await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => {
            tracing::debug!(%error, "no connection on the caller's runtime; its requests go over the lock thread");
            return Opened::Failed;
        }
        Err(error) if error.is_panic() => return Opened::Unable,
        Err(_) => return Opened::Failed,
    };
    match vet(&*shared.place, &door, &mut connection).await {
        Ok(()) => Opened::Connected(connection),
        Err(_) => Opened::Failed,
    }
}

/// `None`: this runtime, this server, or its user does not let it.
async fn connect_to_hear(
    shared: &Shared,
    caller: &Handle,
    channel: &str,
    pushes: impl AsyncPushSender,
) -> Option<MultiplexedConnection> {
    let door = shared.place.door().await.ok()?;
    let opening = door.clone();
    // As above.
    let connecting = AbortOnDropHandle::new(caller.spawn(async move { opening.with_pushes(pushes).await }));
    let mut connection = connecting.await.ok()?.ok()?;
    vet(&*shared.place, &door, &mut connection).await.ok()?;
    connection.subscribe(channel).await.ok()?;
    Some(connection)
}
