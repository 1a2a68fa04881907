//! The end of a manager: whoever holds something may finish, is then told, and in the end everything is released.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use crate::LostReason;
use crate::manager::Shared;

/// How long the bodies that were told have to be dropped, before their locks are released over their heads. A body
/// that may be stopped is dropped at its next poll.
const DROP: Duration = Duration::from_millis(500);
/// How long the last releases may take. Their ttl ends what they leave.
const RELEASE: Duration = Duration::from_secs(2);
/// When it is time for the last deletion of what requests have taken whose answer was lost. Until then such a request
/// may arrive, although all releases have their answers.
const LAST_CALL: Duration = Duration::from_millis(1_500);

pub(crate) async fn shutdown(shared: &Arc<Shared>, grace: Duration) {
    // First what is looked at, then what wakes those who look.
    shared.present.close();
    shared.closing.cancel();
    for timeline in shared.timelines() {
        timeline.lines.close();
    }
    for tracker in [&shared.held, &shared.releases] {
        tracker.close();
    }
    // Who waits in this process learns of it.
    for timeline in shared.timelines() {
        timeline.ring_all();
    }
    let ending = end(Arc::clone(shared), grace);
    match shared.lock_thread() {
        // By its timers: the caller's clock may be paused, and skip all waiting while the lock thread works.
        Some(timeline) if !shared.backend.is_local() => {
            if let Err(error) = timeline.spawn(ending).await {
                // A second shutdown was faster and has stopped the thread: then everything is done.
                tracing::debug!(%error, "the shutdown was finished by another one");
            }
        }
        Some(_) | None => ending.await,
    }
    shared.backend.close();
    for timeline in shared.timelines() {
        timeline.stop();
    }
}

async fn end(shared: Arc<Shared>, grace: Duration) {
    let given = timeout(grace, async {
        // What an attempt has got is a hold when the attempt is over.
        shared.held.wait().await;
        shared.present.none_held().await;
    });
    if given.await.is_err() {
        tell_all(&shared);
    }
    // A time-out is no error here: what is left is released in the next step.
    let _ = timeout(DROP, shared.present.none_running()).await;
    // Also those that came while the first were told.
    tell_all(&shared);
    for timeline in shared.timelines() {
        for hold in timeline.holds() {
            drop(hold.release());
        }
    }
    let began = Instant::now();
    let mut settled = pin!(async {
        shared.releases.wait().await;
        shared.backend.settle(&shared.last_call).await;
    });
    if timeout_at(began + LAST_CALL, settled.as_mut()).await.is_err() {
        shared.last_call.cancel();
        // What is not released now never is: its ttl ends it.
        let _ = timeout_at(began + RELEASE, settled).await;
    }
}

fn tell_all(shared: &Shared) {
    for timeline in shared.timelines() {
        for hold in timeline.holds() {
            hold.lose(LostReason::Shutdown);
        }
    }
}
