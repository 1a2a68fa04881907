//! The fences that claims propose: the servers' time as this manager knows it, each above the one before.
//!
//! Any number would do: one that is too low is not counted, and the claim asks once more. The time is what others propose
//! too, whoever they are, so it is mostly above what the servers have counted. It comes from the servers: a client whose
//! clock is wrong would push the counters ahead, or be behind for ever.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::{Clock, Moment};

pub(super) struct Proposals {
    clock: Clock,
    origin: Moment,
    /// The servers' time at the origin, in microseconds; 0: nobody has told yet.
    time: AtomicU64,
    /// The largest that was proposed or heard of.
    highest: AtomicU64,
}

impl Proposals {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            origin: clock.now(),
            time: AtomicU64::new(0),
            highest: AtomicU64::new(0),
        }
    }

    pub(super) fn next(&self) -> u64 {
        let time = match self.time.load(Ordering::Relaxed) {
            0 => 0,
            time => time.saturating_add(self.passed()),
        };
        let above = |highest: u64| Some(time.max(highest.saturating_add(1)));
        let before = self.highest.fetch_update(Ordering::Relaxed, Ordering::Relaxed, above);
        time.max(before.unwrap_or_else(|highest| highest).saturating_add(1))
    }

    /// A majority says that it is `time` now, or later. What is heard late is behind, so the latest time is the best.
    pub(super) fn hear(&self, time: u64) {
        self.time
            .fetch_max(time.saturating_sub(self.passed()), Ordering::Relaxed);
    }

    /// Somebody has counted so far.
    pub(super) fn heed(&self, counter: u64) {
        self.highest.fetch_max(counter, Ordering::Relaxed);
    }

    /// A proposal was ahead of the servers' time: it is `time` there, and they have counted up to `counter`.
    pub(super) fn correct(&self, time: u64, counter: u64) {
        self.time.store(time.saturating_sub(self.passed()), Ordering::Relaxed);
        self.highest.store(counter, Ordering::Relaxed);
    }

    /// Microseconds since the origin.
    fn passed(&self) -> u64 {
        self.clock.now().nanos_since(self.origin) / 1_000
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;

    const NOW: u64 = 1_800_000_000_000_000;

    #[tokio::test(start_paused = true)]
    async fn proposals_follow_the_servers_time_and_grow_even_where_it_stands() {
        let proposals = Proposals::new(Clock::Paused);
        assert_eq!(proposals.next(), 1);
        advance(Duration::from_secs(1)).await;
        proposals.hear(NOW);
        assert_eq!((proposals.next(), proposals.next()), (NOW, NOW + 1));
        advance(Duration::from_millis(1)).await;
        assert_eq!(proposals.next(), NOW + 1_000);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_heard_late_does_not_set_them_back() {
        let proposals = Proposals::new(Clock::Paused);
        proposals.hear(NOW);
        proposals.hear(NOW - 500);
        assert_eq!(proposals.next(), NOW);
    }

    #[tokio::test(start_paused = true)]
    async fn they_are_above_what_others_have_counted() {
        let proposals = Proposals::new(Clock::Paused);
        proposals.hear(NOW);
        proposals.heed(NOW + 7_000);
        assert_eq!((proposals.next(), proposals.next()), (NOW + 7_001, NOW + 7_002));
        proposals.heed(NOW);
        assert_eq!(proposals.next(), NOW + 7_003);
    }

    #[tokio::test(start_paused = true)]
    async fn a_time_that_was_wrong_is_put_right() {
        let proposals = Proposals::new(Clock::Paused);
        proposals.hear(NOW * 2);
        assert_eq!(proposals.next(), NOW * 2);
        proposals.correct(NOW, NOW - 5);
        assert_eq!(proposals.next(), NOW);
    }
}
