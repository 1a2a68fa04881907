//! Who keeps a hold alive. The last owner's end releases it: the call alone, or the outermost of re-entered ones.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::hand_over;
use crate::hold::{Hold, State};
use crate::release::{self, ReleaseEnd};

/// A part in a hold. Re-entered calls share it by `Arc`: that is their count.
pub(crate) struct Ownership {
    hold: Arc<Hold>,
}

/// The release of a hold, under way or over.
pub(crate) enum Ending {
    Over(ReleaseEnd),
    /// Made by whoever waits for it; dropped, it goes on in the background.
    Here(release::Here),
    UnderWay(JoinHandle<ReleaseEnd>),
}

impl Ownership {
    pub(crate) fn new(hold: Arc<Hold>) -> Self {
        Self { hold }
    }

    pub(crate) fn hold(&self) -> &Arc<Hold> {
        &self.hold
    }

    /// Releases the hold if this is its last owner. `None`: others go on, or it was released already.
    pub(crate) fn end(self: Arc<Self>) -> Option<Ending> {
        Arc::into_inner(self).and_then(|ownership| ownership.hold.release())
    }
}

impl Drop for Ownership {
    fn drop(&mut self) {
        // Dropped without an end: the caller gave up, or the body panicked. Nobody waits for the answer, and the task
        // goes on without its handle.
        drop(self.hold.release());
    }
}

impl Hold {
    /// Ends the hold. Only the first call does something, from wherever it comes; the others get `None`.
    pub(crate) fn release(self: &Arc<Self>) -> Option<Ending> {
        let now = self.begin_end()?;
        let lost = match self.state() {
            State::Lost(reason) => Some(reason),
            State::Held | State::Ended => None,
        };
        self.telemetry.ended(&self.key, || self.held_for(), lost);
        let ending = if hand_over::pass_on(self, lost, now) {
            Ending::Over(ReleaseEnd::Released)
        } else {
            release::start(self, lost, now)
        };
        self.release_begun();
        Some(ending)
    }

    /// How much longer `hold_at_least` keeps the lock taken.
    pub(crate) fn rest_of_least(&self) -> Option<Duration> {
        let least = self.terms.hold_at_least?;
        Some(least.saturating_sub(self.held_for())).filter(|rest| !rest.is_zero())
    }
}
