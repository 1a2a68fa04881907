//! How the body of a call ended, and whether its release is waited for then.

use crate::ownership::Ending;
use crate::release::ReleaseEnd;
use crate::{Key, LostReason};

/// How the body of a call ended.
pub enum Ended<R> {
    /// With its output.
    Finished(R),
    /// It was stopped, because the lease was lost; it must be dropped by now.
    Lost {
        /// The lock that was held.
        key: Key,
        /// Why it is not held any more.
        reason: LostReason,
    },
    /// It never ran.
    Refused(R),
}

/// As [`Ended`], where the output is kept apart.
#[derive(Clone, Copy)]
pub(crate) enum Fate {
    Finished,
    Lost(LostReason),
    Refused,
}

impl<R> Ended<R> {
    pub(crate) fn fate(&self) -> Fate {
        match self {
            Self::Finished(_) => Fate::Finished,
            Self::Lost { reason, .. } => Fate::Lost(*reason),
            Self::Refused(_) => Fate::Refused,
        }
    }
}

/// The release, if the call waits for its answer.
pub(crate) fn awaited(ending: Option<Ending>, fate: Fate) -> Option<Ending> {
    match (ending, fate) {
        // The backend may hang, and that may be why the lease expired: nobody waits for it then.
        (_, Fate::Lost(LostReason::Expired))
        // Nobody waits for what never ran, either.
        | (_, Fate::Refused)
        // Nor for what is over.
        | (Some(Ending::Over(_)) | None, _) => None,
        (ending, _) => ending,
    }
}

/// Waits for the release's first answer. A failure was logged, goes on in the background, and never replaces the
/// body's output.
pub(crate) async fn confirm(ending: Ending) {
    match ending.wait().await {
        ReleaseEnd::Released | ReleaseEnd::Lost(_) | ReleaseEnd::Failed(_) => {}
    }
}
