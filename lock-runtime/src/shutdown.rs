//! The end of a manager: whoever holds something may finish, is then told, and in the end everything is released.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::LostReason;
use crate::manager::Shared;

/// How long the bodies that were told have to be dropped, before their locks are released over their heads. A body
/// that may be stopped is dropped at its next poll.
const DROP: Duration = Duration::from_millis(500);
/// How long the last releases may take. Their ttl ends what they leave.
const RELEASE: Duration = Duration::from_secs(2);

pub(crate) async fn shutdown(shared: &Arc<Shared>, grace: Duration) {
    shared.closing.cancel();
    shared.active.close();
    shared.releases.close();
    if timeout(grace, shared.active.wait()).await.is_err() {
        for timeline in shared.timelines() {
            for hold in timeline.holds() {
                hold.lose(LostReason::Shutdown);
            }
        }
        // A time-out is no error here: what is left is released in the next step.
        let _ = timeout(DROP, shared.active.wait()).await;
        for timeline in shared.timelines() {
            for hold in timeline.holds() {
                drop(hold.release());
            }
        }
    }
    let _ = timeout(RELEASE, shared.releases.wait()).await;
    for timeline in shared.timelines() {
        timeline.stop();
    }
}
