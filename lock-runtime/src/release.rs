//! Giving a lock back: at once if possible, otherwise again and again until its ttl would be over anyway.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::backend::memory::Store;
use crate::backend::{Applied, Claim, Failure, FailureKind, Leave, Released};
use crate::clock::{Clock, Moment};
use crate::hold::Hold;
use crate::manager::Shared;
use crate::ownership::Ending;
use crate::pauses::pauses;
use crate::timeline::{Elapsed, Timeline};
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

/// Starts the release of a hold that has ended. `kept`: that hold, for a release that goes on without the caller.
pub(crate) fn start(hold: &Hold, kept: impl FnOnce() -> Arc<Hold>, lost: Option<LostReason>) -> Ending {
    if let Some(reason @ (LostReason::Taken | LostReason::Missing)) = lost
        && !hold.shared.backend.is_quorum()
    {
        clear_up_late_acquires(hold);
        return Ending::Over(ReleaseEnd::Lost(reason));
    }
    if let Some(store) = hold.shared.backend.store() {
        return Ending::Over(local(hold, store, lost));
    }
    let Some(timeline) = hold.timeline() else {
        return Ending::Over(ReleaseEnd::Failed(interrupted(None)));
    };
    if lost.is_none() && !hold.doubtful && hold.rest_of_least().is_none() {
        let under_way = hold.shared.releases.token();
        return Ending::Here(Here {
            under_way: Some((kept(), Arc::clone(timeline), under_way)),
            maybe_sent: false,
        });
    }
    Ending::UnderWay(on_lock_thread(kept(), timeline, lost, PATIENCE, false))
}

/// The release goes on there, whatever becomes of its caller.
fn on_lock_thread(
    hold: Arc<Hold>,
    timeline: &Timeline,
    lost: Option<LostReason>,
    patience: Duration,
    maybe_done: bool,
) -> JoinHandle<ReleaseEnd> {
    let releases = hold.shared.releases.clone();
    releases.spawn_on(first_try(hold, lost, patience, maybe_done), timeline.runtime())
}

/// A release that its caller makes: over a connection of its own runtime, if there is one. Dropped before it has its
/// answer, it goes on on the lock thread.
pub(crate) struct Here {
    /// Until it is over, or goes on elsewhere.
    under_way: Option<(Arc<Hold>, Arc<Timeline>, TaskTrackerToken)>,
    /// It may have been sent.
    maybe_sent: bool,
}

impl Here {
    async fn wait(mut self) -> ReleaseEnd {
        let Some((hold, timeline, _)) = &self.under_way else {
            return ReleaseEnd::Failed(interrupted(None));
        };
        let (shared, timeline) = (Arc::clone(&hold.shared), Arc::clone(timeline));
        let (patience, maybe_done) = match shared.backend.release_here(&hold.claim, timeline.runtime()) {
            None => (PATIENCE, false),
            Some(under_way) => {
                self.maybe_sent = true;
                let limit = timeline.clock.now().plus((PATIENCE / 2).min(under_way.within));
                match timeline.within(limit, under_way.answer).await {
                    Ok(Ok(answer)) => {
                        // Over: nothing is left for the drop.
                        let hold = self.under_way.take();
                        return hold.map_or_else(
                            || ReleaseEnd::Released,
                            |(hold, ..)| conclude(&hold, None, answer, false),
                        );
                    }
                    Ok(Err(failure)) => (PATIENCE / 2, failure.applied == Applied::Unknown),
                    Err(Elapsed) => {
                        shared.backend.no_answer(under_way.route);
                        (PATIENCE / 2, true)
                    }
                }
            }
        };
        let Some((hold, timeline, under_way)) = self.under_way.take() else {
            return ReleaseEnd::Failed(interrupted(None));
        };
        let task = on_lock_thread(hold, &timeline, None, patience, maybe_done);
        drop(under_way);
        confirmed(task).await
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        if let Some((hold, timeline, under_way)) = self.under_way.take() {
            drop(on_lock_thread(hold, &timeline, None, PATIENCE, self.maybe_sent));
            drop(under_way);
        }
    }
}

/// The lock thread went down with the process, or the release has a bug.
async fn confirmed(task: JoinHandle<ReleaseEnd>) -> ReleaseEnd {
    task.await
        .unwrap_or_else(|error| ReleaseEnd::Failed(interrupted(Some(error))))
}

/// In this process: at once, wherever the caller is; no runtime, no timer, no second try.
fn local(hold: &Hold, store: &Store, lost: Option<LostReason>) -> ReleaseEnd {
    let clock = hold.clock;
    let answer = match hold.rest_of_least() {
        None => store.release(&hold.claim, Leave::Nothing, clock, || hold.finished()),
        Some(rest) => store.release(&hold.claim, Leave::TakenFor(rest), clock, || clock.now()),
    };
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
    } else if let Some(timeline) = hold.timeline() {
        let again = Arc::clone(hold);
        let background = async move {
            // A majority goes on by itself from here.
            if ask(&again, PATIENCE).await.is_err() {
                keep_trying(again).await;
            }
        };
        hold.shared.releases.spawn_on(background, timeline.runtime());
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
            Self::Here(here) => here.wait().await,
            Self::UnderWay(task) => confirmed(task).await,
        }
    }
}

/// At most `patience` long; tries a second time where the first one only found a dead connection. `maybe_done`: an
/// earlier try, whose answer was lost, may have released it.
async fn first_try(hold: Arc<Hold>, lost: Option<LostReason>, patience: Duration, mut maybe_done: bool) -> ReleaseEnd {
    let clock = hold.clock;
    let started = clock.now();
    loop {
        let left = patience.saturating_sub(clock.now().since(started));
        match ask(&hold, left).await {
            Ok(answer) => {
                clear_up_late_acquires(&hold);
                return conclude(&hold, lost, answer, maybe_done);
            }
            Err(failure) => {
                maybe_done |= failure.applied == Applied::Unknown;
                let half_over = clock.now().since(started) > patience / 2;
                if half_over || failure.kind != FailureKind::Transient {
                    hold.telemetry.release_failed(hold.key(), &failure.reason);
                    if let Some(timeline) = hold.timeline() {
                        let background = keep_trying(Arc::clone(&hold));
                        hold.shared.releases.spawn_on(background, timeline.runtime());
                    }
                    return ReleaseEnd::Failed(failure);
                }
                pause(clock, Duration::from_millis(10)).await;
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
            hold.telemetry.released_late(hold.key());
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
    let clock = hold.clock;
    let over = clock.now().plus(hold.terms.ttl);
    for wait in pauses() {
        if clock.now() >= over {
            return;
        }
        pause(clock, wait).await;
        if ask(&hold, PATIENCE).await.is_ok() {
            return;
        }
    }
}

/// An acquire whose answer was lost may arrive after the release, and would lock for a whole ttl.
fn clear_up_late_acquires(hold: &Hold) {
    if hold.doubtful
        && hold.rest_of_least().is_none()
        && let Some(timeline) = hold.timeline()
    {
        clear_up(&hold.shared, timeline, hold.claim.clone(), hold.terms.ttl, Behind::Lost);
    }
}

/// What a deletion clears up behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behind {
    /// A request that is under way on this route.
    Route(u64),
    /// A request whose answer was lost: it may even arrive after the first deletion.
    Lost,
}

/// Clears up after an acquire whose outcome nobody waits for, or nobody knows: deletes the claim's key if it came to
/// hold the lock, and gives up its place where it waited for it.
pub(crate) fn clear_up(shared: &Arc<Shared>, timeline: &Arc<Timeline>, claim: Claim, ttl: Duration, behind: Behind) {
    let over = timeline.clock.now().plus(ttl);
    let work = clear(Arc::clone(shared), Arc::clone(timeline), claim, over, behind);
    shared.releases.spawn_on(work, timeline.runtime());
}

async fn clear(shared: Arc<Shared>, timeline: Arc<Timeline>, claim: Claim, mut over: Moment, mut behind: Behind) {
    let backend = &shared.backend;
    let mut answered = false;
    for wait in pauses() {
        // Before the request: what arrives before the shutdown's last call is cleared up after it.
        let last = shared.last_call.is_cancelled();
        let after = match behind {
            Behind::Route(route) => backend.release_after(route, &claim, PATIENCE),
            Behind::Lost => None,
        };
        if after.is_none() {
            // On another route than the request's, the deletion may arrive first.
            behind = Behind::Lost;
        }
        let answer = match after {
            Some(answer) => answer.await,
            None => backend.release(&claim, Leave::Nothing, PATIENCE).await,
        };
        if backend.is_quorum() {
            // What is left, and what may still arrive, it clears up by itself, on each server.
            return;
        }
        if let (Err(_), Behind::Route(route)) = (&answer, behind)
            && route != backend.route()
        {
            // Nobody may drive that connection, on a runtime that stands still.
            backend.no_answer(route);
            behind = Behind::Lost;
        } else if answer.is_ok() {
            if behind != Behind::Lost {
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
            () = pause(timeline.clock, wait) => {}
        }
    }
}

/// Waits on the hold's own clock; the caller runs on the runtime of its timeline.
async fn pause(clock: Clock, length: Duration) {
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
