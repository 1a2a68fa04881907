//! What a hold tells `tracing`: a span for the hold, events for what went wrong.
//!
//! Much of it happens on the lock thread, so the subscriber of the call's own thread is carried along.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::time::Duration;

use tracing::dispatcher::{self, Dispatch};
use tracing::field::Empty;
use tracing::level_filters::LevelFilter;
use tracing::{Level, Span, debug, enabled, info_span, trace, warn};

use crate::{Fence, Key, LostReason};

/// What is told of one hold, and to whom.
pub(crate) struct Telemetry {
    /// Who listens, and the span of the hold; `None`: nobody in the whole process. Boxed, because mostly it is not there,
    /// and a hold that nobody hears of should be small.
    listening: Option<Box<Listening>>,
    /// Somebody wants to hear of each renewal. Asked once, and kept here: a hundred thousand leases are renewed all the
    /// time, and nothing is looked for in memory then that nobody wants.
    traces: bool,
}

struct Listening {
    dispatch: Dispatch,
    span: Span,
    /// Keys are shown as hashes.
    redact: bool,
}

impl Telemetry {
    pub(crate) const NOBODY: Self = Self {
        listening: None,
        traces: false,
    };

    /// Whether there may be somebody who listens.
    pub(crate) const fn is_heard(&self) -> bool {
        self.listening.is_some()
    }

    /// Of the current thread, with the current span as the parent of what follows.
    pub(crate) fn here(redact: bool) -> Self {
        if LevelFilter::current() == LevelFilter::OFF {
            return Self::NOBODY;
        }
        let listening = Listening {
            dispatch: dispatcher::get_default(Dispatch::clone),
            span: Span::current(),
            redact,
        };
        Self {
            listening: Some(Box::new(listening)),
            traces: enabled!(Level::TRACE),
        }
    }

    /// Opens the span of a hold that was granted now. `waited` tells how long that took.
    pub(crate) fn granted(&self, key: &Key, owner: &str, fence: Fence, waited: impl FnOnce() -> Duration) -> Self {
        let Some(listening) = &self.listening else {
            return Self::NOBODY;
        };
        let (waited, redact) = (waited(), listening.redact);
        let span = dispatcher::with_default(&listening.dispatch, || {
            let span = info_span!(
                parent: &listening.span,
                "distributed_lock",
                key = %shown(key, redact),
                owner,
                fence = fence.get(),
                waited = ?waited,
                held = Empty,
                outcome = Empty,
            );
            span.in_scope(|| debug!(key = %shown(key, redact), fence = fence.get(), waited = ?waited, "lock acquired"));
            span
        });
        let listening = Listening {
            dispatch: listening.dispatch.clone(),
            span,
            redact,
        };
        Self {
            listening: Some(Box::new(listening)),
            traces: self.traces,
        }
    }

    /// The span of the hold, for its body to run in.
    pub(crate) fn span(&self) -> Option<Span> {
        self.listening.as_ref().map(|listening| listening.span.clone())
    }

    /// The hold is over; `held` tells how long it was.
    pub(crate) fn ended(&self, key: &Key, held: impl FnOnce() -> Duration, lost: Option<LostReason>) {
        self.say(|listening| {
            match lost {
                None => listening.span.record("outcome", "released"),
                Some(_) => listening.span.record("outcome", "lost"),
            };
            let held = held();
            listening.span.record("held", tracing::field::debug(held));
            debug!(key = %listening.shown(key), held = ?held, "lock ended");
        });
    }

    pub(crate) fn lost(&self, key: &Key, fence: Fence, reason: LostReason, held: Duration) {
        self.say(|listening| {
            warn!(key = %listening.shown(key), fence = fence.get(), cause = ?reason, held = ?held, "lease lost: {reason}");
        });
    }

    pub(crate) fn renewed(&self, key: &Key, fence: Fence) {
        if !self.traces {
            return;
        }
        self.say(|listening| trace!(key = %listening.shown(key), fence = fence.get(), "lease renewed"));
    }

    pub(crate) fn renewal_late(&self, key: &Key, late: Duration) {
        self.say(|listening| warn!(key = %listening.shown(key), late = ?late, "lease renewal is late: the lock thread gets no processor time"));
    }

    pub(crate) fn renewal_failed(&self, key: &Key, remaining: Duration, reason: &str) {
        self.say(|listening| {
            warn!(key = %listening.shown(key), remaining = ?remaining, reason, "lease renewal failed; it is tried again until the deadline");
        });
    }

    pub(crate) fn release_failed(&self, key: &Key, reason: &str) {
        self.say(
            |listening| warn!(key = %listening.shown(key), reason, "lock release failed; it goes on in the background until the ttl is over"),
        );
    }

    pub(crate) fn released_late(&self, key: &Key) {
        self.say(|listening| {
            warn!(key = %listening.shown(key), "the lock was no longer ours when the body had finished; its last writes may have been unprotected");
        });
    }

    fn say(&self, event: impl FnOnce(&Listening)) {
        let Some(listening) = &self.listening else {
            return;
        };
        dispatcher::with_default(&listening.dispatch, || {
            // Nobody may be listening at all: then not even the span is entered.
            if enabled!(Level::ERROR) {
                listening.span.in_scope(|| event(listening));
            }
        });
    }
}

impl Listening {
    fn shown<'a>(&self, key: &'a Key) -> Shown<'a> {
        shown(key, self.redact)
    }
}

/// A key as it may be shown.
pub(crate) fn shown(key: &Key, redact: bool) -> Shown<'_> {
    if redact { Shown::Hash(key) } else { Shown::Key(key) }
}

/// A key in a span or an event.
pub(crate) enum Shown<'a> {
    Key(&'a Key),
    Hash(&'a Key),
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Random in each process: nobody can find out a key by hashing guesses.
        static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        match self {
            Self::Key(key) => key.fmt(f),
            Self::Hash(key) => write!(f, "#{:016x}", HASHER.hash_one(key.as_str())),
        }
    }
}
