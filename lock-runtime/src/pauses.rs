//! How long to wait before a release is tried again.

use std::time::Duration;

/// 50 ms, doubling up to 1 s, without end.
pub(crate) fn pauses() -> impl Iterator<Item = Duration> + Send {
    use backon::BackoffBuilder;

    backon::ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(Duration::from_secs(1))
        .without_max_times()
        .build()
}
