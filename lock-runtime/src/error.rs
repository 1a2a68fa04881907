//! What can go wrong, and why a lease was lost.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::Key;

/// Why an annotated call, a guard or a manager did not do what it was asked for.
///
/// The text says which key and what to do. Match on the predicates ([`is_conflict`](Self::is_conflict), …)
/// rather than on the variants where they are enough: variants may be added.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Somebody else holds the lock.
    #[error(
        "lock `{key}` is held by somebody else (waited {waited:?}); try again later, or wait longer with `on_conflict = \"retry\"` and `wait`"
    )]
    #[non_exhaustive]
    Conflict {
        /// The lock that was asked for.
        key: Key,
        /// How long the call waited for it.
        waited: Duration,
    },
    /// The backend did not answer, or refused (out of memory, read-only, still loading, no permission).
    #[error("lock backend unavailable{}: {reason}", for_key(.key.as_ref()))]
    #[non_exhaustive]
    Unavailable {
        /// The lock that was asked for, if it was about one.
        key: Option<Key>,
        /// What happened, and what to look at.
        reason: String,
        /// The client library's error, where there is one.
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// The lease was lost while the body ran; the body was stopped and dropped (or its output came too late).
    #[error(
        "the lease on lock `{key}` was lost ({reason}); what the body did after that was unprotected: check it, and guard writes with the fence"
    )]
    #[non_exhaustive]
    Lost {
        /// The lock that was held.
        key: Key,
        /// Why it was lost.
        reason: LostReason,
    },
    /// A nested call asked for a lock that the surrounding body holds.
    #[error(
        "lock `{key}` is already held by the surrounding body, and waiting for it would wait for itself; write `reentrant` to join that hold, or use another key"
    )]
    #[non_exhaustive]
    Reentered {
        /// The lock that was asked for.
        key: Key,
    },
    /// No manager was installed, and the call names none.
    #[error(
        "no lock manager{}: call `LockManager::connect(url).await?.install()?` when the program starts, or write `manager = …` in the attribute",
        for_key(.key.as_ref())
    )]
    #[non_exhaustive]
    NoManager {
        /// The lock that was asked for.
        key: Option<Key>,
    },
    /// A manager is already installed in this process.
    #[error("a lock manager is already installed in this process; install once, or pass managers with `manager = …`")]
    AlreadyInstalled,
    /// The key cannot be used.
    #[error("invalid lock key `{key}`: {reason}")]
    #[non_exhaustive]
    InvalidKey {
        /// The key, cut to 80 characters.
        key: Key,
        /// What is wrong with it, and what to write.
        reason: String,
    },
    /// The backend's URL cannot be used.
    #[error("invalid lock URL: {part}: {reason}")]
    #[non_exhaustive]
    InvalidUrl {
        /// Which part of the URL is wrong: scheme, host, port, user, password, database, path, …
        part: &'static str,
        /// What is wrong with it, and what to write. Never holds the password.
        reason: String,
    },
    /// An option has a value that cannot work.
    #[error("invalid lock option `{option}`{}: {reason}", for_key(.key.as_ref()))]
    #[non_exhaustive]
    InvalidOption {
        /// The lock that was asked for, if it was about one.
        key: Option<Key>,
        /// The option's name.
        option: &'static str,
        /// What is wrong with its value, and what to write.
        reason: String,
    },
    /// The backend has something else under this key: not a text, so no lock. It is left alone.
    #[error(
        "the backend holds a value of another type under the key of lock `{key}`, so it is no lock; it was left alone: use another key or another namespace"
    )]
    #[non_exhaustive]
    WrongType {
        /// The lock that was asked for.
        key: Key,
    },
    /// The call was not stored, because so many are already. Its body did not run.
    #[cfg(feature = "queue")]
    #[error(
        "the call for lock `{key}` was not stored, because {stored} calls are already: are workers running? See `LockManager::queue().counts()`, or allow more with `LockManagerBuilder::max_queued_calls`"
    )]
    #[non_exhaustive]
    QueueFull {
        /// The lock that somebody else holds.
        key: Key,
        /// How many calls are stored.
        stored: u64,
    },
    /// The call was not stored, because its arguments take too much room. Its body did not run.
    #[cfg(feature = "queue")]
    #[error(
        "the call for lock `{key}` was not stored: it has {bytes} bytes as JSON, at most {limit} are allowed; pass the identifier of what is large, or allow more with `LockManagerBuilder::max_call_size`"
    )]
    #[non_exhaustive]
    CallTooLarge {
        /// The lock that somebody else holds.
        key: Key,
        /// What the call would take.
        bytes: usize,
        /// What is allowed.
        limit: usize,
    },
    /// The call was not stored, because an argument could not be made JSON. Its body did not run.
    #[cfg(feature = "queue")]
    #[error(
        "the call for lock `{key}` was not stored: its argument `{argument}` cannot be written as JSON and read again: {source}"
    )]
    #[non_exhaustive]
    Unstorable {
        /// The lock that somebody else holds.
        key: Key,
        /// The parameter's name.
        argument: &'static str,
        /// What its `Serialize`, or its `Deserialize`, said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The manager's backend stores no calls.
    #[cfg(feature = "queue")]
    #[error(
        "this backend stores no calls{}: a majority of independent servers has no order in which to keep them; use `redis://`, `redis+sentinel://`, `redis+cluster://` or `memory://` for functions with `on_conflict = \"queue\"`",
        for_key(.key.as_ref())
    )]
    #[non_exhaustive]
    NoQueue {
        /// The lock that was asked for, if it was about one.
        key: Option<Key>,
    },
    /// A worker cannot work.
    #[cfg(feature = "queue")]
    #[error("invalid worker: {reason}")]
    #[non_exhaustive]
    InvalidWorker {
        /// What is wrong, and what to write.
        reason: String,
    },
    /// The manager was shut down, or is being shut down, and gives no new holds.
    #[error("the lock manager is shut down{}; it gives no new holds", for_key(.key.as_ref()))]
    #[non_exhaustive]
    ShutDown {
        /// The lock that was asked for, if it was about one.
        key: Option<Key>,
    },
}

impl LockError {
    /// Somebody else holds the lock: a later try may pass.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict { .. })
    }

    /// The backend does not answer or refuses, or the manager is shut down.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::ShutDown { .. })
    }

    /// The lease was lost while it was needed.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Lost { .. })
    }

    /// The surrounding body holds this lock already.
    #[must_use]
    pub fn is_reentered(&self) -> bool {
        matches!(self, Self::Reentered { .. })
    }

    /// Why the lease was lost, if it was.
    #[must_use]
    pub fn lost_reason(&self) -> Option<LostReason> {
        match self {
            Self::Lost { reason, .. } => Some(*reason),
            _ => None,
        }
    }

    /// The lock that the error is about.
    #[must_use]
    pub fn key(&self) -> Option<&Key> {
        match self {
            Self::Conflict { key, .. }
            | Self::Lost { key, .. }
            | Self::Reentered { key }
            | Self::InvalidKey { key, .. }
            | Self::WrongType { key } => Some(key),
            Self::Unavailable { key, .. }
            | Self::NoManager { key }
            | Self::InvalidOption { key, .. }
            | Self::ShutDown { key } => key.as_ref(),
            #[cfg(feature = "queue")]
            Self::QueueFull { key, .. } | Self::CallTooLarge { key, .. } | Self::Unstorable { key, .. } => Some(key),
            #[cfg(feature = "queue")]
            Self::NoQueue { key } => key.as_ref(),
            #[cfg(feature = "queue")]
            Self::InvalidWorker { .. } => None,
            Self::AlreadyInstalled | Self::InvalidUrl { .. } => None,
        }
    }
}

/// ` for lock `k``, or nothing where the error is about no lock.
fn for_key(key: Option<&Key>) -> impl fmt::Display {
    key.map_or_else(String::new, |key| format!(" for lock `{key}`"))
}

/// Why a lease was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LostReason {
    /// No renewal was confirmed before the lease's deadline: the backend was out of reach, or the machine slept.
    Expired,
    /// The key holds another holder's token.
    Taken,
    /// The key is gone: deleted by an operator, flushed, evicted, or forgotten by a restart or a failover.
    Missing,
    /// The hold lasted for `max_hold`.
    MaxHold,
    /// The manager was shut down and the time it gave the bodies was over.
    Shutdown,
}

impl fmt::Display for LostReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "it expired before a renewal was confirmed",
            Self::Taken => "somebody else holds it now",
            Self::Missing => "its key is gone",
            Self::MaxHold => "`max_hold` is over",
            Self::Shutdown => "the manager was shut down",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_stays_small_because_every_call_returns_one() {
        assert!(size_of::<LockError>() <= 80, "{}", size_of::<LockError>());
    }
}
