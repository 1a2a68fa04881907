//! Giving a lock back: at once if possible, otherwise again and again until its ttl would be over anyway.

use std::sync::Arc;
use std::time::Duration;

use crate::backend::memory::Store;
use crate::backend::{Applied, Claim, Failure, FailureKind, Leave, Released};
use crate::clock::Moment;
use crate::hold::Hold;
use crate::manager::Shared;
use crate::ownership::Ending;
use crate::pauses::pauses;
use crate::timeline::Timeline;
use crate::{LockError, LostReason};

/// How long a caller waits for its release to be confirmed, before it goes on in the background.
const PATIENCE: Duration = Duration::from_secs(1);

/// How a release ended, or where it stands.
#[derive(Debug)]
pub(crate) enum ReleaseEnd {
    /// The lock is free (or stays taken for the rest of `hold_at_least`).
    Released,
    /// There was nothing to release.
    Lost(LostReason),
    /// No answer yet; it goes on in the background.
    Failed(Failure),
}

/// How long after a definite answer a lost request is still expected. TCP gives up on unanswered data after 5 s here
/// (`TCP_USER_TIMEOUT`).
const LATE: Duration = Duration::from_secs(10);

/// Starts the release of a hold that has ended.
pub(crate) fn start(hold: &Arc<Hold>, lost: Option<LostReason>) -> Ending {
    if let Some(reason @ (LostReason::Taken | LostReason::Missing)) = lost
        && !hold.shared.backend.is_quorum()
    {
        clear_up_late_acquires(hold);
        return Ending::Over(ReleaseEnd::Lost(reason));
    }
    if let Some(store) = hold.shared.backend.store() {
        return Ending::Over(local(hold, store, lost));
    }
    let first_try = first_try(Arc::clone(hold), lost);
    Ending::UnderWay(hold.shared.releases.spawn_on(first_try, hold.timeline.runtime()))
}

/// In this process: at once, wherever the caller is; no runtime, no timer, no second try.
fn local(hold: &Hold, store: &Store, lost: Option<LostReason>) -> ReleaseEnd {
    let clock = hold.timeline.clock;
    let leave = hold.rest_of_least().map_or(Leave::Nothing, Leave::TakenFor);
    let answer = store.release(&hold.claim, leave, clock, || clock.now());
    conclude(hold, lost, answer, false)
}

/// Releases once more what a renewal may have armed that was answered after the release.
pub(crate) fn after_late_renewal(hold: &Arc<Hold>) {
    if hold.terms.hold_at_least.is_none() {
        // Then the release has deleted the key, and a renewal never creates one.
        return;
    }
    if let Some(store) = hold.shared.backend.store() {
        local(hold, store, Some(LostReason::Missing));
    } else {
        let again = Arc::clone(hold);
        let background = async move {
            // A majority goes on by itself from here.
            if ask(&again, PATIENCE).await.is_err() {
                keep_trying(again).await;
            }
        };
        hold.shared.releases.spawn_on(background, hold.timeline.runtime());
    }
}

/// The failure of a release that nobody could finish; its ttl ends the hold.
fn interrupted(error: Option<tokio::task::JoinError>) -> Failure {
    Failure {
        kind: FailureKind::Permanent,
        applied: Applied::Unknown,
        reason: "the release was interrupted; the lock is free when its ttl is over".to_owned(),
        source: error.map(Into::into),
    }
}

impl Ending {
    /// Waits for the first answer. Cancel safe: the release goes on without the waiter.
    pub(crate) async fn wait(self) -> ReleaseEnd {
        match self {
            Self::Over(end) => end,
            // The lock thread went down with the process, or the release has a bug.
            Self::UnderWay(task) => task
                .await
                .unwrap_or_else(|error| ReleaseEnd::Failed(interrupted(Some(error)))),
        }
    }
}

/// At most [`PATIENCE`] long; tries a second time where the first one only found a dead connection.
async fn first_try(hold: Arc<Hold>, lost: Option<LostReason>) -> ReleaseEnd {
    let clock = hold.timeline.clock;
    let started = clock.now();
    let mut maybe_done = false;
    loop {
        let left = PATIENCE.saturating_sub(clock.now().since(started));
        match ask(&hold, left).await {
            Ok(answer) => {
                clear_up_late_acquires(&hold);
                return conclude(&hold, lost, answer, maybe_done);
            }
            Err(failure) => {
                maybe_done |= failure.applied == Applied::Unknown;
                let half_over = clock.now().since(started) > PATIENCE / 2;
                if half_over || failure.kind != FailureKind::Transient {
                    hold.telemetry.release_failed(&hold.key, &failure.reason);
                    let background = keep_trying(Arc::clone(&hold));
                    hold.shared.releases.spawn_on(background, hold.timeline.runtime());
                    return ReleaseEnd::Failed(failure);
                }
                pause(&hold.timeline, Duration::from_millis(10)).await;
            }
        }
    }
}

fn conclude(hold: &Hold, lost: Option<LostReason>, answer: Released, maybe_done: bool) -> ReleaseEnd {
    let found = match answer {
        Released::Done => None,
        Released::Missing => Some(LostReason::Missing),
        Released::Taken => Some(LostReason::Taken),
    };
    match (lost, found) {
        (Some(reason), _) => ReleaseEnd::Lost(reason),
        (None, None) => ReleaseEnd::Released,
        // An earlier try, whose answer was lost, may have done it.
        (None, Some(_)) if maybe_done => ReleaseEnd::Released,
        (None, Some(reason)) => {
            hold.telemetry.released_late(&hold.key);
            ReleaseEnd::Lost(reason)
        }
    }
}

async fn ask(hold: &Hold, within: Duration) -> Result<Released, Failure> {
    let leave = hold.rest_of_least().map_or(Leave::Nothing, Leave::TakenFor);
    hold.shared.backend.release(&hold.claim, leave, within).await
}

async fn keep_trying(hold: Arc<Hold>) {
    if hold.shared.backend.is_quorum() {
        // It does so by itself, on each server.
        return;
    }
    let clock = hold.timeline.clock;
    let over = clock.now().plus(hold.terms.ttl);
    for wait in pauses() {
        if clock.now() >= over {
            return;
        }
        pause(&hold.timeline, wait).await;
        if ask(&hold, PATIENCE).await.is_ok() {
            return;
        }
    }
}

/// An acquire whose answer was lost may arrive after the release, and would lock for a whole ttl.
fn clear_up_late_acquires(hold: &Hold) {
    if hold.doubtful && hold.rest_of_least().is_none() {
        clear_up(&hold.shared, &hold.timeline, hold.claim.clone(), hold.terms.ttl, true);
    }
}

/// Clears up after an acquire whose outcome nobody waits for, or nobody knows: deletes the claim's key if it came to
/// hold the lock. `unknown`: an answer was lost, so that a request may even arrive after the first deletion.
pub(crate) fn clear_up(shared: &Arc<Shared>, timeline: &Arc<Timeline>, claim: Claim, ttl: Duration, unknown: bool) {
    let over = timeline.clock.now().plus(ttl);
    let work = clear(Arc::clone(shared), Arc::clone(timeline), claim, over, unknown);
    shared.releases.spawn_on(work, timeline.runtime());
}

async fn clear(shared: Arc<Shared>, timeline: Arc<Timeline>, claim: Claim, mut over: Moment, unknown: bool) {
    let mut answered = false;
    for wait in pauses() {
        // Before the request: what arrives before the shutdown's last call is cleared up after it.
        let last = shared.last_call.is_cancelled();
        let answer = shared.backend.release(&claim, Leave::Nothing, PATIENCE).await;
        if shared.backend.is_quorum() {
            // What is left, and what may still arrive, it clears up by itself, on each server.
            return;
        }
        if answer.is_ok() {
            if !unknown {
                return;
            }
            if !std::mem::replace(&mut answered, true) {
                over = over.min(timeline.clock.now().plus(LATE));
            }
        }
        if last || timeline.clock.now() >= over {
            return;
        }
        tokio::select! {
            biased;
            () = shared.last_call.cancelled() => {}
            () = pause(&timeline, wait) => {}
        }
    }
}

/// Waits on the timeline's own clock; the caller runs on its runtime.
async fn pause(timeline: &Timeline, length: Duration) {
    let clock = timeline.clock;
    clock.sleep_until(clock.now().plus(length)).await;
}

/// A failed operation as the user's error.
pub(crate) fn unavailable(key: &crate::Key, failure: Failure) -> LockError {
    match failure.kind {
        FailureKind::WrongType => LockError::WrongType { key: key.clone() },
        FailureKind::Transient | FailureKind::Permanent => LockError::Unavailable {
            key: Some(key.clone()),
            reason: failure.reason,
            source: failure.source,
        },
    }
}

#[cfg(test)]
#[path = "tests/release.rs"]
mod tests;
