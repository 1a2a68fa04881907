//! A server's clock: its own rate, and its own idea of what time it is.

use std::time::Duration;

/// When every simulation begins, as servers tell it: a fixed day, so that a seed gives the same fences again.
const EPOCH: i64 = 1_800_000_000_000_000;

/// From the time that nobody in the simulation knows to what a server believes.
#[derive(Debug, Clone, Copy, Default)]
pub struct ServerClock {
    /// How much faster it runs, in parts of a million.
    pub faster: i64,
    /// How far it is ahead, in microseconds.
    pub ahead: i64,
}

impl ServerClock {
    /// Microseconds since 1970, at the true time `at`.
    #[must_use]
    pub fn micros(self, at: Duration) -> i64 {
        let at = i64::try_from(at.as_micros()).unwrap_or(i64::MAX);
        EPOCH + at + at / 1_000 * self.faster / 1_000 + self.ahead
    }

    /// The clock that runs at another rate from the true time `at` on, without a jump.
    #[must_use]
    pub fn with_rate(self, faster: i64, at: Duration) -> Self {
        let next = Self { faster, ..self };
        Self {
            ahead: self.ahead + self.micros(at) - next.micros(at),
            ..next
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundredth_faster_is_ten_milliseconds_in_a_second() {
        let clock = ServerClock {
            faster: 10_000,
            ahead: 0,
        };
        let start = clock.micros(Duration::ZERO);
        assert_eq!(clock.micros(Duration::from_secs(1)) - start, 1_010_000);
    }

    #[test]
    fn another_rate_begins_without_a_jump() {
        let at = Duration::from_secs(7);
        let clock = ServerClock {
            faster: 10_000,
            ahead: 5,
        };
        assert_eq!(clock.micros(at), clock.with_rate(-3_000, at).micros(at));
    }
}
