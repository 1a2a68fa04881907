//! Time that all processes of the machine share, and the processor time of this one.

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Nanoseconds of the monotonic clock: comparable between processes.
pub(crate) fn now() -> u64 {
    nanoseconds(clock_gettime(ClockId::Monotonic))
}

/// Nanoseconds of processor time that all threads of this process have used.
pub(crate) fn processor() -> u64 {
    nanoseconds(clock_gettime(ClockId::ProcessCPUTime))
}

fn nanoseconds(time: Timespec) -> u64 {
    let whole = u64::try_from(time.tv_sec).unwrap_or_default();
    whole * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or_default()
}

/// The time between two moments, in microseconds; negative where the second was first.
#[allow(clippy::cast_precision_loss, reason = "hours fit")]
pub(crate) fn micros(from: u64, to: u64) -> f64 {
    (to as f64 - from as f64) / 1e3
}
