//! How long to wait before something is tried again.

use std::time::Duration;

use backon::BackoffBuilder;

/// 50 ms, doubling up to 1 s, without end.
pub(crate) fn pauses() -> impl Iterator<Item = Duration> + Send {
    growing(Duration::from_millis(50), Duration::from_secs(1))
}

fn growing(shortest: Duration, longest: Duration) -> backon::ExponentialBackoff {
    backon::ExponentialBuilder::new()
        .with_min_delay(shortest)
        .with_max_delay(longest)
        .without_max_times()
        .build()
}

/// Pauses anywhere between the shortest and a bound that doubles up to the longest ("full jitter", AWS Architecture
/// Blog 2015).
pub(crate) struct Growing {
    shortest: Duration,
    bounds: backon::ExponentialBackoff,
}

impl Growing {
    pub(crate) fn new(shortest: Duration, longest: Duration) -> Self {
        Self {
            shortest,
            bounds: growing(shortest, longest),
        }
    }

    pub(crate) fn next(&mut self) -> Duration {
        let bound = self.bounds.next().unwrap_or(self.shortest);
        jittered(self.shortest, bound)
    }
}

fn jittered(shortest: Duration, bound: Duration) -> Duration {
    shortest + bound.saturating_sub(shortest).mul_f64(fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_anywhere_between_the_bounds() {
        let (shortest, bound) = (Duration::from_millis(10), Duration::from_millis(30));
        let pauses: Vec<_> = (0..1_000).map(|_| jittered(shortest, bound)).collect();
        assert!(pauses.iter().all(|pause| (shortest..=bound).contains(pause)));
        let (low, high) = (Duration::from_millis(15), Duration::from_millis(25));
        assert!(pauses.iter().any(|pause| *pause < low) && pauses.iter().any(|pause| *pause > high));
        assert_eq!(jittered(bound, shortest), bound);
    }
}
