//! Lanes: a connection on each runtime that calls, besides the one on the lock thread.
//!
//! An acquire and a release that go to the lock thread and back cost four changes of threads, about as much as the
//! requests themselves. Over a connection whose driver lives on the caller's own runtime they cost none. What goes wrong
//! there goes on on the lock thread: a lane never connects while somebody waits, and sets no timers on a runtime that is
//! not ours.

mod open;
mod together;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use redis::Value;
use redis::aio::MultiplexedConnection;
use tokio::runtime::{self, Handle};
use tokio::sync::{oneshot, watch};

use self::together::Together;
use super::super::Failure;
use super::connection::{Refusal, refusal};
use super::ear::{Ear, Listening};
use super::place::Place;
use super::script::ScriptCall;
use super::wakeups::Wakeups;

/// How long opening may take.
const OPEN: Duration = Duration::from_secs(3);
/// How long none is opened to hear something after one could not be: a server or a user that does not let it will not soon.
const DEAF: Duration = Duration::from_secs(10);
/// How long a runtime has to do without a lane after one could not be opened.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Lanes(Arc<Shared>);

struct Shared {
    place: Arc<dyn Place>,
    /// Counts how often the place moved, where it can.
    moved: Option<watch::Receiver<u64>>,
    /// Counts the connections that took the place of another one: what was stored may be gone then.
    replaced: Arc<watch::Sender<u64>>,
    /// Who waits for what is said on a lane.
    wakeups: Weak<Wakeups>,
    /// The start of the names of their channels.
    channel: Arc<str>,
    /// A simulated network does not speak the protocol that it takes to hear something.
    hears: bool,
    /// What each runtime has; `None`: no more lanes. A std mutex, held for a look.
    lanes: Mutex<Option<Table>>,
}

#[derive(Default)]
struct Table {
    states: HashMap<runtime::Id, State>,
    /// Before this moment none is opened to hear something: that failed.
    deaf_until: Option<Instant>,
    /// How many there may be before those without a connection are forgotten, of which many have ended.
    sweep_at: usize,
}

/// Fewer are never forgotten.
const KEPT: usize = 64;

enum State {
    /// It has called once. Who calls once only does not need a lane.
    Seen,
    /// Where somebody waits there, one that hears.
    Opening(Option<Listening>),
    Open(Lane, Hearing),
    /// One broke: the next takes its place.
    Broken,
    /// None before this moment; `None`: never, because the runtime has no input and output.
    Without(Option<Instant>),
}

/// Whether a lane hears what the server says by itself. Only where somebody has waited: who never does is spared it.
enum Hearing {
    NotYet,
    /// One that does is being opened, to take its place.
    Soon(Listening),
    Now(Listening),
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
    runtime: Handle,
    together: Arc<Together>,
    /// Dropped with the last copy: then nobody waits for the end of the runtime any more.
    _in_use: Arc<oneshot::Sender<()>>,
}

impl Lanes {
    /// What is said to claims on `channel`, with a number behind it, is for `wakeups`.
    pub(super) fn new(
        wakeups: &Arc<Wakeups>,
        channel: &Arc<str>,
        replaced: Arc<watch::Sender<u64>>,
        hears: bool,
    ) -> Self {
        let place = Arc::clone(wakeups.place());
        Self(Arc::new(Shared {
            moved: place.moves(),
            place,
            replaced,
            wakeups: Arc::downgrade(wakeups),
            channel: Arc::clone(channel),
            hears,
            lanes: Mutex::new(Some(Table::default())),
        }))
    }

    /// The lane of the runtime around the caller. Where there is none, one is opened from `runtime` for the calls that
    /// come later.
    pub(super) fn here(&self, runtime: &Handle) -> Option<Lane> {
        let caller = Handle::try_current().ok()?;
        let mut guard = self.0.lanes();
        let lanes = guard.as_mut()?;
        let Some(state) = lanes.states.get_mut(&caller.id()) else {
            lanes.see(caller.id());
            return None;
        };
        let again = match state {
            State::Open(lane, _) if lane.moves == self.0.moves() => return Some(lane.clone()),
            State::Open(..) | State::Broken => true,
            State::Seen => false,
            State::Without(Some(until)) if *until <= Instant::now() => false,
            State::Opening(_) | State::Without(_) => return None,
        };
        let before = std::mem::replace(state, State::Opening(None));
        drop(guard);
        drop(before);
        runtime.spawn(open::open(Arc::clone(&self.0), caller, again));
        None
    }

    /// As [`here`](Self::here), for who only wants one that there is.
    pub(super) fn open_here(&self) -> Option<Lane> {
        let caller = Handle::try_current().ok()?;
        match self.0.lanes().as_ref()?.states.get(&caller.id()) {
            Some(State::Open(lane, _)) if lane.moves == self.0.moves() => Some(lane.clone()),
            _ => None,
        }
    }

    /// Where something is said to those who wait on the runtime `near`: over its lane, or one that is opened from `runtime`
    /// and takes its place. `None`: that cannot be, or not now.
    pub(super) fn ear(&self, near: &Handle, runtime: &Handle) -> Option<Ear> {
        // Before the look at the moves, so that the next one is not missed.
        let moved = self.0.moved.clone().map(|mut moved| {
            moved.mark_unchanged();
            moved
        });
        let mut guard = self.0.lanes();
        let table = guard.as_mut()?;
        let state = table.states.get_mut(&near.id());
        let listening = match &state {
            Some(State::Opening(listening)) => listening.as_ref(),
            Some(State::Open(lane, Hearing::Soon(listening) | Hearing::Now(listening)))
                if lane.moves == self.0.moves() =>
            {
                Some(listening)
            }
            _ => None,
        };
        if let Some(ear) = listening.and_then(|listening| listening.ear(moved.clone())) {
            return Some(ear);
        }
        let now = Instant::now();
        let is_deaf = !self.0.hears || table.deaf_until.is_some_and(|until| until > now);
        let (listening, ear) = match state {
            Some(State::Without(None)) => return None,
            Some(State::Without(Some(until))) if *until > now => return None,
            _ if is_deaf => return None,
            _ => Listening::new(format!("{}:{:016x}", self.0.channel, fastrand::u64(..)), moved),
        };
        let (channel, pushes) = listening.subscription(Weak::clone(&self.0.wakeups));
        let (again, before) = match table.states.get_mut(&near.id()) {
            Some(State::Open(lane, hearing)) if lane.moves == self.0.moves() => {
                *hearing = Hearing::Soon(listening);
                (false, None)
            }
            _ => {
                let before = table.states.insert(near.id(), State::Opening(Some(listening)));
                (matches!(before, Some(State::Open(..) | State::Broken)), before)
            }
        };
        drop(guard);
        drop(before);
        runtime.spawn(open::to_hear(Arc::clone(&self.0), near.clone(), again, channel, pushes));
        Some(ear)
    }

    /// No more lanes.
    pub(super) fn close(&self) {
        let before = self.0.lanes().take();
        drop(before);
    }

    /// The lane with this number, from whichever runtime.
    pub(super) fn numbered(&self, number: u64) -> Option<Lane> {
        self.0.lanes().as_ref()?.states.values().find_map(|state| match state {
            State::Open(lane, _) if lane.number == number => Some(lane.clone()),
            _ => None,
        })
    }
}

impl Table {
    /// Notes a runtime that calls for the first time.
    fn see(&mut self, runtime: runtime::Id) {
        if self.states.len() >= self.sweep_at {
            // Nobody tells that a runtime has ended. One that has not is seen again.
            self.states
                .retain(|_, state| matches!(state, State::Open(..) | State::Opening(_)));
            self.sweep_at = (self.states.len() * 2).max(KEPT);
        }
        self.states.insert(runtime, State::Seen);
    }
}

impl Lane {
    /// As `Connection::ask`; whoever waits sets the limit.
    pub(super) async fn ask(mut self, call: &ScriptCall) -> Result<Value, Failure> {
        let sent = self
            .together
            .send(&mut self.connection, &self.runtime, call.by_hash())
            .await;
        let reply = match sent {
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
        let mut states = lanes.iter_mut().flat_map(|table| table.states.values_mut());
        let broken = states.find(|state| matches!(state, State::Open(lane, _) if lane.number == self.number));
        let before = broken.map(|state| std::mem::replace(state, State::Broken));
        drop(lanes);
        drop(before);
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
            let state = lanes.states.get(&self.runtime);
            let is_this = matches!(state, Some(State::Open(lane, _)) if lane.number == self.number);
            is_this.then(|| lanes.states.remove(&self.runtime))
        });
        drop(lanes);
        drop(before);
    }
}

impl Shared {
    fn lanes(&self) -> MutexGuard<'_, Option<Table>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lane of a runtime, from now on.
    fn opened(this: &Arc<Self>, caller: &Handle, moves: u64, connection: MultiplexedConnection, hearing: Hearing) {
        let (in_use, unused) = oneshot::channel();
        let lane = Lane {
            shared: Arc::downgrade(this),
            number: fastrand::u64(1..),
            moves,
            connection,
            runtime: caller.clone(),
            together: Arc::default(),
            _in_use: Arc::new(in_use),
        };
        let end = End {
            shared: Arc::downgrade(this),
            runtime: caller.id(),
            number: lane.number,
        };
        let hears = matches!(hearing, Hearing::Now(_));
        if !this.set(caller.id(), State::Open(lane, hearing), hears) {
            return;
        }
        // Dropped when the runtime ends, or nobody has the lane any more.
        caller.spawn(async move {
            let _end = end;
            drop(unused.await);
        });
    }

    /// Takes what was to be heard on this runtime. What else is there stays as it was.
    fn listening(&self, runtime: runtime::Id, is_deaf: bool) -> Option<Listening> {
        let mut lanes = self.lanes();
        let table = lanes.as_mut()?;
        if is_deaf {
            table.deaf_until = Some(Instant::now() + DEAF);
        }
        match table.states.get_mut(&runtime)? {
            State::Open(_, hearing @ Hearing::Soon(_)) => match std::mem::replace(hearing, Hearing::NotYet) {
                Hearing::Soon(listening) => Some(listening),
                Hearing::NotYet | Hearing::Now(_) => None,
            },
            state @ State::Opening(Some(_)) => match std::mem::replace(state, State::Broken) {
                State::Opening(listening) => listening,
                _ => None,
            },
            _ => None,
        }
    }

    /// What a runtime has from now on. One that hears nothing does not take the place of one that is, or is being, opened
    /// because somebody waits meanwhile: then false.
    fn set(&self, runtime: runtime::Id, state: State, hears: bool) -> bool {
        let mut lanes = self.lanes();
        let (is_set, before) = match lanes.as_mut() {
            Some(lanes) if !hears && !matches!(lanes.states.get(&runtime), Some(State::Opening(None))) => {
                (false, Some(state))
            }
            Some(lanes) => (true, lanes.states.insert(runtime, state)),
            None => (false, Some(state)),
        };
        drop(lanes);
        // Outside of the mutex: a lane that goes wakes who waits for that.
        drop(before);
        is_set
    }

    fn moves(&self) -> u64 {
        self.moved.as_ref().map_or(0, |moved| *moved.borrow())
    }
}
