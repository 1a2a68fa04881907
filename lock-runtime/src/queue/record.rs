//! What an operator is told of stored calls.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Ticket;
use super::payload::Payload;
use crate::Key;
use crate::backend::queue::{CallRecord, Standing};

/// How many calls are stored, by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueCounts {
    /// Their time has come.
    pub due: u64,
    /// They wait for their lock, or for the time of their next attempt.
    pub delayed: u64,
    /// A worker runs them.
    pub running: u64,
    /// Nobody runs them any more unless they are sent back.
    pub dead: u64,
    /// For how long the call is due that is due for the longest: whether the workers keep up. `None`: none is due.
    pub oldest_due: Option<Duration>,
}

/// Where a stored call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CallState {
    /// Its time has come: it waits for a worker, or for an earlier call for the same lock.
    Due,
    /// It waits for its lock, or for its next attempt.
    Delayed,
    /// A worker runs it.
    Running,
    /// A dead letter: it ended badly, and is not tried again by itself.
    Dead,
}

/// How a stored call ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CallEnd {
    /// Its body ran to its end.
    Done,
    /// It was cancelled, or forgotten as a dead letter.
    Cancelled,
    /// It is a dead letter.
    Dead {
        /// Why.
        cause: DeathCause,
        /// What went wrong in its last attempt.
        error: String,
    },
    /// No such call is stored. It was never, or it ended more than ten minutes ago.
    Unknown,
}

/// Why a call is a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeathCause {
    /// The body, or its compensation, returned an error.
    Failed,
    /// The body panicked.
    Panicked,
    /// No attempt is left: its lock was always taken, its backend out of reach, its lease lost, or its workers stopped.
    Exhausted,
    /// No function of the worker's program has its path.
    UnknownFunction,
    /// Its arguments are not those of the function as it is in the worker's program.
    Unreadable,
    /// The lock can never be had: its key is invalid, or holds something else.
    Refused,
    /// Another version of this library gave a cause that this one does not know.
    Unknown,
}

impl DeathCause {
    const KNOWN: [Self; 6] = [
        Self::Failed,
        Self::Panicked,
        Self::Exhausted,
        Self::UnknownFunction,
        Self::Unreadable,
        Self::Refused,
    ];

    /// As it is stored, and printed.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Panicked => "panicked",
            Self::Exhausted => "exhausted",
            Self::UnknownFunction => "unknown function",
            Self::Unreadable => "unreadable",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }

    pub(super) fn of(name: &str) -> Self {
        let known = Self::KNOWN.into_iter().find(|cause| cause.name() == name);
        known.unwrap_or(Self::Unknown)
    }
}

impl fmt::Display for DeathCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The answer to [`Queue::cancel`](crate::Queue::cancel).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cancellation {
    /// It will not run.
    Cancelled,
    /// A worker runs it; it goes on.
    Running,
    /// No such call is stored; it may have ended.
    NotFound,
}

/// A stored call, as it was when it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedCall {
    record: CallRecord,
    key: Key,
    function: Option<String>,
    arguments: String,
}

impl QueuedCall {
    pub(super) fn new(record: CallRecord) -> Self {
        let key = Key::from(record.lane.as_str());
        match Payload::decode(&record.payload) {
            Ok(payload) => Self {
                key,
                arguments: serde_json::Value::Object(payload.arguments.0).to_string(),
                function: Some(payload.function),
                record,
            },
            Err(_) => Self {
                key,
                arguments: record.payload.clone(),
                function: None,
                record,
            },
        }
    }

    /// Its name.
    #[must_use]
    pub fn ticket(&self) -> Ticket {
        Ticket(self.record.id)
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> CallState {
        match self.record.standing {
            Standing::Due => CallState::Due,
            Standing::Delayed => CallState::Delayed,
            Standing::Running => CallState::Running,
            Standing::Dead => CallState::Dead,
        }
    }

    /// The lock that it waits for.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The path of the function, as in `shop::orders::ship`; `None` when what is stored cannot be read.
    #[must_use]
    pub fn function(&self) -> Option<&str> {
        self.function.as_deref()
    }

    /// The arguments by name, as JSON; all that is stored, when that cannot be read.
    #[must_use]
    pub fn arguments(&self) -> &str {
        &self.arguments
    }

    /// When it was stored, by the backend's clock.
    #[must_use]
    pub fn stored_at(&self) -> SystemTime {
        at(self.record.stored)
    }

    /// When it is tried next, unless its lock is released before; `None` while it runs and when it is dead. By the
    /// backend's clock, as all times here.
    #[must_use]
    pub fn next_attempt_at(&self) -> Option<SystemTime> {
        self.at(&[Standing::Due, Standing::Delayed])
    }

    /// While it runs: when its worker's claim ends, unless that is kept.
    #[must_use]
    pub fn claimed_until(&self) -> Option<SystemTime> {
        self.at(&[Standing::Running])
    }

    /// When it died.
    #[must_use]
    pub fn died_at(&self) -> Option<SystemTime> {
        self.at(&[Standing::Dead])
    }

    fn at(&self, standings: &[Standing]) -> Option<SystemTime> {
        standings.contains(&self.record.standing).then(|| at(self.record.at))
    }

    /// How often it was tried.
    #[must_use]
    pub fn tried(&self) -> u32 {
        self.record.tried
    }

    /// How often it is tried before it is a dead letter.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.record.attempts
    }

    /// The owner label of the manager whose worker runs it.
    #[must_use]
    pub fn worker(&self) -> Option<&str> {
        self.record.worker.as_deref()
    }

    /// Why it is a dead letter.
    #[must_use]
    pub fn cause(&self) -> Option<DeathCause> {
        self.record.cause.as_deref().map(DeathCause::of)
    }

    /// What went wrong in the last attempt.
    #[must_use]
    pub fn last_error(&self) -> Option<&str> {
        self.record.error.as_deref()
    }
}

fn at(millis: u64) -> SystemTime {
    UNIX_EPOCH
        .checked_add(Duration::from_millis(millis))
        .unwrap_or(UNIX_EPOCH)
}
