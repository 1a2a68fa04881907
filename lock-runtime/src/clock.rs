//! The lease clock. It goes on while the machine sleeps.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A point on the lease clock, in nanoseconds since an origin of this process's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Moment {
    /// Later than anything that happens.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    pub(crate) const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    pub(crate) const fn as_nanos(self) -> u64 {
        self.0
    }

    pub(crate) fn plus(self, duration: Duration) -> Self {
        self.plus_nanos(nanos(duration))
    }

    pub(crate) fn plus_nanos(self, nanos: u64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// As [`since`](Self::since), in nanoseconds.
    pub(crate) fn nanos_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Where a lease reads the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clock {
    /// The machine's own, including the time that it was suspended.
    Real,
    /// Tokio's, where a test has paused it.
    Paused,
}

impl Clock {
    /// The clock that the caller lives by: tokio's if the runtime around the caller has it paused.
    ///
    /// Tokio does not tell whether its clock is paused. A running clock lies between two readings of the real
    /// one, a paused one stands still before them (or was advanced behind them).
    pub(crate) fn here() -> Self {
        let before = Instant::now();
        let tokio = tokio::time::Instant::now().into_std();
        let after = Instant::now();
        if before <= tokio && tokio <= after {
            Self::Real
        } else {
            Self::Paused
        }
    }

    /// The clock that the caller lives by, and the time on it; in two readings where [`here`](Self::here) and
    /// [`now`](Self::now) take four.
    pub(crate) fn here_and_now() -> (Self, Moment) {
        let before = real_now();
        let tokio = Parallel::moment(tokio::time::Instant::now().into_std());
        let after = tokio.nanos_since(before);
        if after > 0 && after < PARALLEL.apart {
            return (Self::Real, before);
        }
        let clock = Self::here();
        if clock == Self::Paused {
            return (clock, clock.now());
        }
        if tokio < before {
            // The machine was suspended since the last time.
            Parallel::adjust();
        }
        (clock, before)
    }

    pub(crate) fn now(self) -> Moment {
        match self {
            Self::Real => real_now(),
            Self::Paused => {
                let (instant, moment) = *ORIGIN;
                let now = tokio::time::Instant::now().into_std();
                // A clock that was paused before the origin was taken lies before it.
                match now.checked_duration_since(instant) {
                    Some(after) => moment.plus(after),
                    None => Moment(moment.0.saturating_sub(nanos(instant.duration_since(now)))),
                }
            }
        }
    }

    /// Waits until `moment` on this clock. Call it on the runtime whose timers should be used.
    ///
    /// Tokio's timers stand still while the machine sleeps, the lease clock does not; so the clock is read again
    /// at least every two seconds (hazard: `Instant` on Linux does not count suspend, rust-lang/rust#79462).
    pub(crate) async fn sleep_until(self, moment: Moment) {
        const LONGEST: Duration = Duration::from_secs(2);
        if moment == Moment::NEVER {
            return std::future::pending().await;
        }
        loop {
            let left = moment.since(self.now());
            if left.is_zero() {
                return;
            }
            let nap = match self {
                Self::Real => left.min(LONGEST),
                Self::Paused => left,
            };
            tokio::time::sleep(nap).await;
        }
    }
}

/// One instant on both scales, so that moments of both clocks can be compared.
static ORIGIN: LazyLock<(Instant, Moment)> = LazyLock::new(|| (Instant::now(), real_now()));

/// The distance between the lease clock and the one of [`Instant`]. It only changes when the machine is suspended.
struct Parallel {
    origin: Instant,
    /// The lease clock at the origin.
    moment: AtomicU64,
    /// Two readings, one after the other, are not further apart in nanoseconds, unless the thread was interrupted.
    apart: u64,
}

static PARALLEL: LazyLock<Parallel> = LazyLock::new(|| {
    let origin = Instant::now();
    let (moment, width) = Parallel::measured(origin);
    Parallel {
        moment: AtomicU64::new(moment),
        origin,
        apart: (width * 2).max(128),
    }
});

impl Parallel {
    fn moment(instant: Instant) -> Moment {
        let origin = PARALLEL.moment.load(Ordering::Relaxed);
        Moment(origin.saturating_add(nanos(instant.saturating_duration_since(PARALLEL.origin))))
    }

    fn adjust() {
        let (moment, _) = Self::measured(PARALLEL.origin);
        PARALLEL.moment.store(moment, Ordering::Relaxed);
    }

    /// Each reading of one clock between two of the other is a lower and an upper bound. In the middle between the best
    /// ones it is right within a few nanoseconds, much less than the time that one reading takes. And how far they are
    /// apart.
    fn measured(origin: Instant) -> (u64, u64) {
        let bounds = (0..16).map(|_| {
            let lower = real_now();
            let between = nanos(origin.elapsed());
            let upper = real_now();
            (lower.0.saturating_sub(between), upper.0.saturating_sub(between))
        });
        let (lower, upper) = bounds.fold((0, u64::MAX), |best, (lower, upper)| {
            (best.0.max(lower), best.1.min(upper))
        });
        (lower.midpoint(upper), upper.saturating_sub(lower))
    }
}

/// As a number; the longest is half a thousand years.
pub(crate) fn nanos(duration: Duration) -> u64 {
    let seconds = duration.as_secs().saturating_mul(1_000_000_000);
    seconds.saturating_add(u64::from(duration.subsec_nanos()))
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn real_now() -> Moment {
    // CLOCK_MONOTONIC stops while a machine is suspended; a server elsewhere does not.
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanos = u64::try_from(time.tv_nsec).unwrap_or_default();
    Moment(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn real_now() -> Moment {
    // A day ahead of the process's start, so that nothing underflows.
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    Moment(86_400_000_000_000).plus(START.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_running_runtime_lives_by_the_real_clock() {
        assert_eq!(Clock::here(), Clock::Real);
    }

    #[tokio::test(start_paused = true)]
    async fn a_paused_runtime_is_noticed_before_and_after_it_was_advanced() {
        assert_eq!(Clock::here(), Clock::Paused);
        let before = Clock::Paused.now();
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(Clock::here(), Clock::Paused);
        assert_eq!(Clock::Paused.now().since(before), Duration::from_secs(60));
    }

    #[test]
    fn outside_a_runtime_the_clock_is_real() {
        assert_eq!(Clock::here(), Clock::Real);
        assert_eq!(Clock::here_and_now().0, Clock::Real);
    }

    #[test]
    fn a_clock_that_is_paused_just_now_is_noticed() {
        for _ in 0..500 {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .unwrap();
            runtime.block_on(async {
                let (clock, now) = Clock::here_and_now();
                assert_eq!(clock, Clock::Real);
                assert!(Clock::Real.now().since(now) < Duration::from_secs(10));
                tokio::time::pause();
                assert_eq!(Clock::here_and_now().0, Clock::Paused);
            });
        }
    }
}
