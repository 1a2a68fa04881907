//! Lanes: a connection on each runtime that calls, besides the one on the lock thread.
//!
//! An acquire and a release that go to the lock thread and back cost four changes of threads, about as much as the
//! requests themselves. Over a connection whose driver lives on the caller's own runtime they cost none. What goes wrong
//! there goes on on the lock thread: a lane never connects while somebody waits, and sets no timers on a runtime that is
//! not ours.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use redis::Value;
use redis::aio::MultiplexedConnection;
use tokio::runtime::{self, Handle};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::super::Failure;
use super::connection::{Refusal, refusal, vet};
use super::place::Place;
use super::script::ScriptCall;

/// How long opening may take.
const OPEN: Duration = Duration::from_secs(3);
/// How long a runtime has to do without a lane after one could not be opened.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Lanes(Arc<Shared>);

struct Shared {
    place: Arc<dyn Place>,
    /// Counts how often the place moved, where it can.
    moved: Option<watch::Receiver<u64>>,
    /// Counts the connections that took the place of another one: what was stored may be gone then.
    replaced: Arc<watch::Sender<u64>>,
    /// What each runtime has; `None`: no more lanes. A std mutex, held for a look.
    lanes: Mutex<Option<HashMap<runtime::Id, State>>>,
}

enum State {
    /// It has called once. Who calls once only does not need a lane.
    Seen,
    Opening,
    Open(Lane),
    /// One broke: the next takes its place.
    Broken,
    /// None before this moment; `None`: never, because the runtime has no input and output.
    Without(Option<Instant>),
}

/// A connection on one runtime.
#[derive(Clone)]
pub(in crate::backend) struct Lane {
    shared: Weak<Shared>,
    /// Tells connections apart.
    pub(in crate::backend) number: u64,
    /// How often the place had moved when it was made.
    moves: u64,
    connection: MultiplexedConnection,
    /// Dropped with the last copy: then nobody waits for the end of the runtime any more.
    _in_use: Arc<oneshot::Sender<()>>,
}

impl Lanes {
    pub(super) fn new(place: Arc<dyn Place>, replaced: Arc<watch::Sender<u64>>) -> Self {
        Self(Arc::new(Shared {
            moved: place.moves(),
            place,
            replaced,
            lanes: Mutex::new(Some(HashMap::new())),
        }))
    }

    /// The lane of the runtime around the caller. Where there is none, one is opened from `runtime` for the calls that
    /// come later.
    pub(super) fn here(&self, runtime: &Handle) -> Option<Lane> {
        let caller = Handle::try_current().ok()?;
        let mut guard = self.0.lanes();
        let lanes = guard.as_mut()?;
        let Some(state) = lanes.get_mut(&caller.id()) else {
            lanes.insert(caller.id(), State::Seen);
            return None;
        };
        let again = match state {
            State::Open(lane) if lane.moves == self.0.moves() => return Some(lane.clone()),
            State::Open(_) | State::Broken => true,
            State::Seen => false,
            State::Without(Some(until)) if *until <= Instant::now() => false,
            State::Opening | State::Without(_) => return None,
        };
        let before = std::mem::replace(state, State::Opening);
        drop(guard);
        drop(before);
        runtime.spawn(open(Arc::clone(&self.0), caller, again));
        None
    }

    /// As [`here`](Self::here), for who only wants one that there is.
    pub(super) fn open_here(&self) -> Option<Lane> {
        let caller = Handle::try_current().ok()?;
        match self.0.lanes().as_ref()?.get(&caller.id()) {
            Some(State::Open(lane)) if lane.moves == self.0.moves() => Some(lane.clone()),
            _ => None,
        }
    }

    /// No more lanes.
    pub(super) fn close(&self) {
        let before = self.0.lanes().take();
        drop(before);
    }

    /// The lane with this number, from whichever runtime.
    pub(super) fn numbered(&self, number: u64) -> Option<Lane> {
        self.0.lanes().as_ref()?.values().find_map(|state| match state {
            State::Open(lane) if lane.number == number => Some(lane.clone()),
            _ => None,
        })
    }
}

impl Lane {
    /// As `Connection::ask`; whoever waits sets the limit.
    pub(super) async fn ask(mut self, call: &ScriptCall) -> Result<Value, Failure> {
        let reply = match self.connection.send_packed_command(call.by_hash()).await {
            Ok(Value::ServerError(error)) => Err(error.into()),
            reply => reply,
        };
        let refused = match reply.map_err(refusal) {
            Ok(reply) => return Ok(reply),
            Err((Refusal::NoScript, _)) => match self.connection.send_packed_command(&call.in_full()).await {
                Ok(Value::ServerError(error)) => refusal(error.into()),
                Ok(reply) => return Ok(reply),
                Err(error) => refusal(error),
            },
            Err(refused) => refused,
        };
        if refused.1 {
            self.broke();
        }
        Err(refused.0.into())
    }

    /// It gave no answer for too long, or a wrong one.
    pub(super) fn broke(&self) {
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        let mut lanes = shared.lanes();
        let mut states = lanes.iter_mut().flat_map(HashMap::values_mut);
        let broken = states.find(|state| matches!(state, State::Open(lane) if lane.number == self.number));
        let before = broken.map(|state| std::mem::replace(state, State::Broken));
        drop(lanes);
        drop(before);
    }
}

/// On the lock thread: only the connection itself lives on the caller's runtime.
async fn open(shared: Arc<Shared>, caller: Handle, again: bool) {
    let moves = shared.moves();
    let connection = match timeout(OPEN, connect(&shared, &caller)).await {
        Ok(Opened::Connected(connection)) => connection,
        Ok(Opened::Unable) => return shared.set(caller.id(), State::Without(None)),
        Ok(Opened::Failed) | Err(_) => {
            return shared.set(caller.id(), State::Without(Some(Instant::now() + PAUSE)));
        }
    };
    let (in_use, unused) = oneshot::channel();
    let lane = Lane {
        shared: Arc::downgrade(&shared),
        number: fastrand::u64(1..),
        moves,
        connection,
        _in_use: Arc::new(in_use),
    };
    let end = End {
        shared: Arc::downgrade(&shared),
        runtime: caller.id(),
        number: lane.number,
    };
    shared.set(caller.id(), State::Open(lane));
    if again {
        shared.replaced.send_modify(|count| *count += 1);
    }
    // Dropped when the runtime ends, or nobody has the lane any more.
    caller.spawn(async move {
        let _end = end;
        drop(unused.await);
    });
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

/// Forgets a lane when its runtime ends.
struct End {
    shared: Weak<Shared>,
    runtime: runtime::Id,
    number: u64,
}

impl Drop for End {
    fn drop(&mut self) {
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        let mut lanes = shared.lanes();
        // Another one may have taken its place.
        let before = lanes.as_mut().and_then(|lanes| {
            let is_this = matches!(lanes.get(&self.runtime), Some(State::Open(lane)) if lane.number == self.number);
            is_this.then(|| lanes.remove(&self.runtime))
        });
        drop(lanes);
        drop(before);
    }
}

impl Shared {
    fn lanes(&self) -> MutexGuard<'_, Option<HashMap<runtime::Id, State>>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, runtime: runtime::Id, state: State) {
        let mut lanes = self.lanes();
        let before = match lanes.as_mut() {
            Some(lanes) => lanes.insert(runtime, state),
            None => Some(state),
        };
        drop(lanes);
        // Outside of the mutex: a lane that goes wakes who waits for that.
        drop(before);
    }

    fn moves(&self) -> u64 {
        self.moved.as_ref().map_or(0, |moved| *moved.borrow())
    }
}
