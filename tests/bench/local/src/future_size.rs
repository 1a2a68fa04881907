//! Row `future-size`: how large an annotated function's future is, beside the plain function's.

use anyhow::Result;
use bench_report::{Check, Progress, Row, save};
use lock_runtime::{LockError, LockManager, distributed_lock};

use crate::flags::Options;

type Answer = Result<usize, LockError>;

/// A body that keeps 1 KiB while it waits.
async fn work(id: u64) -> Answer {
    let kept = [u8::try_from(id % 256).unwrap_or_default(); 1_024];
    tokio::task::yield_now().await;
    Ok(kept.iter().map(|byte| usize::from(*byte)).sum())
}

async fn plain(id: u64) -> Answer {
    work(id).await
}

async fn plain_two(id: u64) -> Answer {
    plain(id + 1).await
}

async fn plain_three(id: u64) -> Answer {
    plain_two(id + 1).await
}

#[distributed_lock(key = "order:<id>", manager = LockManager::in_memory())]
async fn locked(id: u64) -> Answer {
    work(id).await
}

#[distributed_lock(key = "order:<id>", manager = LockManager::in_memory())]
async fn locked_two(id: u64) -> Answer {
    locked(id + 1).await
}

#[distributed_lock(key = "order:<id>", manager = LockManager::in_memory())]
async fn locked_three(id: u64) -> Answer {
    locked_two(id + 1).await
}

fn bytes<F: Future>(future: &F) -> f64 {
    size_of_val(future) as f64
}

/// Measures the row; once, because it is the same every time.
pub(crate) fn run(options: &Options, progress: &Progress) -> Result<()> {
    if !options.wants("future-size") {
        return Ok(());
    }
    let mut row = Row::new(14, "future-size", "future size, 1 KiB body, annotated against plain")
        .target("at most 1.15 once, 1.5 three deep")
        .peer("1.57; 10.9 by value")
        .figures(&[("once", "bytes"), ("three", "bytes")])
        .base("plain")
        .check(Check::ratio("once", "annotated", "plain", "once").at_most(1.15))
        .check(Check::ratio("three deep", "annotated", "plain", "three").at_most(1.5));
    let plain = [("once", bytes(&plain(1))), ("three", bytes(&plain_three(1)))];
    let locked = [("once", bytes(&locked(1))), ("three", bytes(&locked_three(1)))];
    for (variant, sizes) in [("plain", plain), ("annotated", locked)] {
        row.variant(variant).round(&sizes);
        let outcome = format!("{} bytes, three deep {}", sizes[0].1, sizes[1].1);
        progress.step("future-size", (1, 1), variant, &outcome);
    }
    save(&options.folder, &row)
}
