//! How many holds there are: what a shutdown waits for.
//!
//! All in one word, because every hold is counted on its way in and out, on every thread.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// One that is held, until it is lost or ends: the time that bodies are given.
const HELD: u64 = 1;
/// One whose release has not begun: a lost body is still to be dropped.
const RUNNING: u64 = 1 << 32;
/// A shutdown has begun.
const CLOSED: u64 = 1 << 63;

/// The holds of a manager.
#[derive(Default)]
pub(crate) struct Present {
    count: AtomicU64,
    /// Told when a number has come to 0 in a shutdown.
    gone: Notify,
}

/// In which of the two numbers a hold is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counted(u8);

impl Counted {
    #[cfg(test)]
    pub(crate) const NOWHERE: Self = Self(0);
    pub(crate) const RUNNING: Self = Self(2);
    pub(crate) const BOTH: Self = Self(3);

    pub(crate) const fn from_bits(bits: u8) -> Self {
        Self(bits & 3)
    }

    pub(crate) const fn bits(self) -> u8 {
        self.0
    }

    /// What of it is not in `other`.
    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    const fn parts(self) -> u64 {
        (self.0 & 1) as u64 * HELD + (self.0 >> 1) as u64 * RUNNING
    }
}

impl Present {
    /// Counts one hold more, in both numbers. False: a shutdown has begun, and there is to be none.
    #[must_use]
    pub(crate) fn enter(&self) -> bool {
        self.count.fetch_add(Counted::BOTH.parts(), Ordering::SeqCst) < CLOSED
    }

    /// Takes a hold out of the numbers in which it was.
    pub(crate) fn leave(&self, counted: Counted) {
        let left = counted.parts();
        if left == 0 {
            return;
        }
        let now = self.count.fetch_sub(left, Ordering::SeqCst) - left;
        // Nobody waits before.
        if now >= CLOSED {
            self.gone.notify_waiters();
        }
    }

    /// From now on nobody enters.
    pub(crate) fn close(&self) {
        self.count.fetch_or(CLOSED, Ordering::SeqCst);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.count.load(Ordering::SeqCst) >= CLOSED
    }

    /// How many are held, and how many have not begun their release.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let count = self.count.load(Ordering::SeqCst);
        (count % RUNNING, count % CLOSED / RUNNING)
    }

    /// Resolves when none is held. To be closed before. Cancel safe.
    pub(crate) async fn none_held(&self) {
        self.until(|(held, _)| held == 0).await;
    }

    /// Resolves when all have begun their release. To be closed before. Cancel safe.
    pub(crate) async fn none_running(&self) {
        self.until(|(_, running)| running == 0).await;
    }

    async fn until(&self, reached: impl Fn((u64, u64)) -> bool) {
        loop {
            // It hears what comes from here on, so that an end after the look is not missed.
            let gone = self.gone.notified();
            if reached(self.counts()) {
                return;
            }
            gone.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_hold_is_counted_until_it_is_lost_and_until_it_is_dropped() {
        let present = Present::default();
        assert!(present.enter() && present.enter());
        assert_eq!(present.counts(), (2, 2));
        present.leave(Counted::BOTH.without(Counted::RUNNING));
        assert_eq!(present.counts(), (1, 2));
        present.leave(Counted::RUNNING);
        present.leave(Counted::NOWHERE);
        present.leave(Counted::BOTH);
        assert_eq!(present.counts(), (0, 0));
    }

    #[tokio::test]
    async fn a_shutdown_lets_nobody_in_and_hears_of_the_last_one() {
        let present = Present::default();
        assert!(present.enter() && !present.is_closed());
        present.close();
        assert!(present.is_closed() && !present.enter());
        present.leave(Counted::BOTH);
        let (mut held, mut running) = (Box::pin(present.none_held()), Box::pin(present.none_running()));
        assert!((&mut held).now_or_never().is_none() && (&mut running).now_or_never().is_none());
        present.leave(Counted::from_bits(1));
        assert!(held.now_or_never().is_some() && (&mut running).now_or_never().is_none());
        present.leave(Counted::RUNNING);
        assert!(running.now_or_never().is_some());
    }
}
