//! What stored calls tell `tracing`: an event when one is stored, a span around each run, events for its end.

use std::any::Any;
use std::sync::Arc;

use tracing::{Span, debug, error, info_span, warn};
use uuid::Uuid;

use super::Ticket;
use super::payload::Payload;
use super::propagation::TracePropagation;
use crate::backend::queue::{Claimed, Settled, Verdict};
use crate::telemetry::shown;
use crate::{Key, LockManager};

pub(super) fn stored(key: &Key, redact: bool, function: &str, ticket: Ticket) {
    debug!(key = %shown(key, redact), function, %ticket, "call stored: somebody else holds its lock");
}

/// The span of one run.
pub(super) struct Run {
    span: Span,
}

impl Run {
    pub(super) fn begin(manager: &LockManager, payload: &Payload, claimed: &Claimed) -> Self {
        let key = Key::from(claimed.lane.as_str());
        let span = info_span!(
            "queued_call",
            key = %shown(&key, manager.0.redact_keys),
            function = payload.function,
            ticket = %claimed.id,
            attempt = claimed.tried + 1,
            age = ?claimed.age,
            outcome = tracing::field::Empty,
        );
        let propagation: Option<&Arc<dyn TracePropagation>> = manager.0.queue.propagation.as_ref();
        if let (Some(propagation), false) = (propagation, payload.trace.is_empty()) {
            propagation.extract(&payload.trace, &span);
        }
        Self { span }
    }

    pub(super) fn span(&self) -> &Span {
        &self.span
    }
}

/// A run, or a call that could not even be begun, has its verdict.
pub(super) fn settled(run: Option<&Run>, claimed: &Claimed, verdict: &Verdict, settled: Settled, redact: bool) {
    let ticket = claimed.id;
    // An error's text may name the key.
    let told = |error: &str| {
        if redact {
            "(not told: keys are redacted)".to_owned()
        } else {
            error.to_owned()
        }
    };
    let outcome = match (settled, verdict) {
        (Settled::NotOurs, Verdict::Done) => {
            debug!(%ticket, "call ended, which was known already");
            "done"
        }
        (Settled::NotOurs, _) => {
            warn!(%ticket, "the claim of a call ran out while it was run; somebody else may run it too");
            "superseded"
        }
        (_, Verdict::Done) => {
            debug!(%ticket, "call done");
            "done"
        }
        (_, Verdict::HandedBack) => {
            debug!(%ticket, "call handed back");
            "handed back"
        }
        (_, Verdict::Dead { cause, error }) => {
            error!(%ticket, cause, error = told(error), "call is dead: see the queue's dead letters");
            "dead"
        }
        (Settled::Exhausted, Verdict::Again { error, .. }) => {
            error!(%ticket, cause = "exhausted", error = told(error), attempts = claimed.attempts, "call is dead: see the queue's dead letters");
            "dead"
        }
        (Settled::AsAsked, Verdict::Again { pause, error, .. }) => {
            debug!(%ticket, ?pause, error = told(error), "call is tried again");
            "again"
        }
    };
    if let Some(run) = run {
        run.span.record("outcome", outcome);
    }
}

pub(super) fn not_withdrawn(ticket: Ticket, reason: &str) {
    warn!(%ticket, reason, "a call may be stored although its caller got an error, and could not be withdrawn");
}

pub(super) fn not_settled(claimed: &Claimed, reason: &str) {
    warn!(ticket = %claimed.id, reason, "the end of a call could not be told; it is run again when its claim has run out");
}

/// Calls whose workers stopped in their last attempt.
pub(super) fn buried(calls: &[Uuid]) {
    for ticket in calls {
        error!(%ticket, cause = "exhausted", "call is dead, because each of its workers stopped: see the queue's dead letters");
    }
}

pub(super) fn lacks_state(lacking: &str) {
    warn!("{lacking}; its calls are left to other workers, and dead in the end");
}

pub(super) fn claim_failed(reason: &str) {
    warn!(reason, "stored calls cannot be claimed; the worker tries again");
}

/// A run is over. Panics of bodies were caught in it.
pub(super) fn run_ended(ended: &Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        error!(%error, "a worker's own code panicked, and its call is tried again; please report this");
    }
}

/// What a panic said.
pub(super) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "the panic has no text".to_owned())
}
