//! Counts the bytes on the heap for each lease, or for each waiting call: `local-bench-memory leases <url> <count>`.

use std::alloc::System;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lock_runtime::LockManager;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::task::JoinSet;
use tokio::time::sleep;

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn used() -> f64 {
    let stats = HEAP.stats();
    stats.bytes_allocated as f64 - stats.bytes_deallocated as f64
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [what, url, count] = &arguments[..] else {
        bail!("leases or waiters, a URL, a number");
    };
    let locks = LockManager::connect(url).await?;
    let count = count.parse()?;
    let bytes = match what.as_str() {
        "leases" => leases(&locks, count).await?,
        "waiters" => waiters(&locks, count).await?,
        _ => bail!("leases or waiters"),
    };
    println!("{}", bytes / count as f64);
    Ok(())
}

/// Until the heap has stopped to change: what is under way is not counted.
async fn settled() -> f64 {
    let (began, mut before) = (Instant::now(), used());
    loop {
        sleep(Duration::from_millis(50)).await;
        let now = used();
        if (now - before).abs() < 1_000.0 || began.elapsed() > Duration::from_secs(5) {
            return now;
        }
        before = now;
    }
}

async fn leases(locks: &LockManager, count: usize) -> Result<f64> {
    let mut held = Vec::with_capacity(count);
    held.push(locks.lock("first").acquire().await?);
    let before = settled().await;
    for number in 1..count {
        held.push(locks.lock(format!("order:{number}")).acquire().await?);
    }
    Ok(settled().await - before)
}

async fn waiters(locks: &LockManager, count: usize) -> Result<f64> {
    let wait = Duration::from_secs(600);
    let guard = locks.lock("order").acquire().await?;
    let mut all = JoinSet::new();
    let waits = |locks: LockManager| async move { locks.lock("order").wait(wait).acquire().await.map(drop) };
    all.spawn(waits(locks.clone()));
    let before = settled().await;
    for _ in 1..count {
        all.spawn(waits(locks.clone()));
    }
    let bytes = settled().await - before;
    guard.release().await?;
    while let Some(ended) = all.join_next().await {
        ended.context("a task")??;
    }
    Ok(bytes)
}
