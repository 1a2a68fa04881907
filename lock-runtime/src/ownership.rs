//! Who keeps a hold alive. The last owner's end releases it: the call alone, or the outermost of re-entered ones.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::Lease;
use crate::hand_over;
use crate::hold::{Hold, State};
use crate::release::{self, ReleaseEnd};

/// A part in a hold. Re-entered calls have clones of it, which the hold counts.
pub(crate) struct Ownership {
    lease: Lease,
    part: Part,
}

/// Which part. As large as a pointer, because an ownership is moved into a scope and out of it in each poll of a body: of
/// something smaller the moves overlap, and a processor then waits for what it has just written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
enum Part {
    /// The one that came with the hold.
    First,
    /// A re-entered call's.
    Other,
    /// It has ended, and is not counted any more.
    Over,
}

/// The release of a hold, under way or over.
pub(crate) enum Ending {
    Over(ReleaseEnd),
    /// Made by whoever waits for it; dropped, it goes on in the background.
    Here(release::Here),
    UnderWay(JoinHandle<ReleaseEnd>),
}

impl Ownership {
    /// The first part in a new hold.
    pub(crate) fn new(hold: Arc<Hold>) -> Self {
        Self {
            lease: Lease::new(hold),
            part: Part::First,
        }
    }

    /// Whether it came with the hold: there is one such part.
    pub(crate) fn is_first(&self) -> bool {
        self.part == Part::First
    }

    pub(crate) fn hold(&self) -> &Hold {
        self.lease.hold()
    }

    pub(crate) fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Releases the hold if this is its last owner. `None`: others go on, or it was released already.
    pub(crate) fn end(&mut self) -> Option<Ending> {
        if std::mem::replace(&mut self.part, Part::Over) == Part::Over {
            return None;
        }
        let owners = &self.hold().owners;
        // Only an owner makes another one: who is alone stays alone.
        let is_last = owners.load(Ordering::Acquire) == 1 || owners.fetch_sub(1, Ordering::AcqRel) == 1;
        if !is_last {
            return None;
        }
        self.hold().end(|| self.lease.shared())
    }
}

impl Clone for Ownership {
    fn clone(&self) -> Self {
        let part = match self.part {
            Part::First | Part::Other => {
                self.hold().owners.fetch_add(1, Ordering::Relaxed);
                Part::Other
            }
            Part::Over => Part::Over,
        };
        Self {
            lease: self.lease.clone(),
            part,
        }
    }
}

impl Drop for Ownership {
    fn drop(&mut self) {
        // Dropped without an end: the caller gave up, or the body panicked. Nobody waits for the answer, and the task
        // goes on without its handle.
        drop(self.end());
    }
}

impl Hold {
    /// Ends the hold. Only the first call does something, from wherever it comes; the others get `None`.
    pub(crate) fn release(self: &Arc<Self>) -> Option<Ending> {
        self.end(|| Arc::clone(self))
    }

    /// As [`release`](Self::release). `kept`: this hold, for a release that goes on without the caller; in this process none
    /// does.
    fn end(&self, kept: impl FnOnce() -> Arc<Self>) -> Option<Ending> {
        if !self.begin_end() {
            return None;
        }
        let lost = match self.state() {
            State::Lost(reason) => Some(reason),
            State::Held | State::Ended => None,
        };
        let ending = if hand_over::pass_on(self, lost) {
            Ending::Over(ReleaseEnd::Released)
        } else {
            release::start(self, kept, lost)
        };
        self.release_begun();
        // Last: it runs a subscriber's code, which may panic.
        self.telemetry.ended(self.key(), || self.held_for(), lost);
        Some(ending)
    }

    /// How much longer `hold_at_least` keeps the lock taken.
    pub(crate) fn rest_of_least(&self) -> Option<Duration> {
        let least = self.terms.hold_at_least?;
        Some(least.saturating_sub(self.held_for())).filter(|rest| !rest.is_zero())
    }
}
