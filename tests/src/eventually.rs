//! Waiting for a condition with a deadline, in place of a fixed sleep.

use std::time::{Duration, Instant};

/// How long to wait between two looks at the condition.
const STEP: Duration = Duration::from_millis(5);

/// Waits until `condition` is true; panics with `what` when it is not within `deadline`.
///
/// The deadline is the wall clock's, whatever tokio's clock does. The last look happens after the
/// deadline, so that a machine that stood still gets one.
///
/// ```text
/// eventually("the lock is free", SECOND, async || manager.inspect("job").await.unwrap().is_none()).await;
/// ```
pub async fn eventually(what: &str, deadline: Duration, mut condition: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    loop {
        let last = start.elapsed() > deadline;
        if condition().await {
            return;
        }
        assert!(!last, "not within {deadline:?}: {what}");
        tokio::time::sleep(STEP).await;
    }
}

/// [`eventually`] for code outside a runtime.
pub fn eventually_blocking(what: &str, deadline: Duration, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    loop {
        let last = start.elapsed() > deadline;
        if condition() {
            return;
        }
        assert!(!last, "not within {deadline:?}: {what}");
        std::thread::sleep(STEP);
    }
}
