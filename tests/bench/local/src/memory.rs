//! Rows `memory-*`: the client's heap for each lease that is held, and for each caller that waits.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use bench_report::{Check, Progress, Row, save};
use lock_tests::RedisServer;

use crate::flags::Options;
use crate::rows::sibling;

/// Measures both rows, in processes of their own, because counting costs time.
pub(crate) fn run(options: &Options, progress: &Progress) -> Result<()> {
    let (leases, waiters) = if options.quick {
        (10_000, 1_000)
    } else {
        (100_000, 10_000)
    };
    let lease = Row::new(
        10,
        "memory-lease",
        &format!("client heap for each of {leases} held leases"),
    )
    .target("at most 700 bytes")
    .check(Check::worst("in this process", "memory://", "bytes").at_most(700.0))
    .check(Check::worst("Redis", "redis://", "bytes").at_most(700.0));
    let waiter = Row::new(
        10,
        "memory-waiter",
        &format!("client heap for each of {waiters} waiting calls, one key"),
    )
    .note("With the task that waits, spawned on tokio, and its future.");
    for (row, what, count) in [(lease, "leases", leases), (waiter, "waiters", waiters)] {
        if options.wants(&row.name) {
            measure(options, progress, row.figures(&[("bytes", "bytes")]), what, count)?;
        }
    }
    Ok(())
}

fn measure(options: &Options, progress: &Progress, mut row: Row, what: &str, count: usize) -> Result<()> {
    let server = RedisServer::start();
    for (variant, url) in [("memory://", "memory://".to_owned()), ("redis://", server.url())] {
        let output = Command::new(sibling("local-bench-memory")?)
            .args([what, &url, &count.to_string()])
            .output()
            .context("the program that counts")?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let bytes: f64 = String::from_utf8_lossy(&output.stdout).trim().parse()?;
        row.variant(variant).round(&[("bytes", bytes)]);
        progress.step(&row.name, (1, 1), variant, &format!("{bytes:.0} bytes"));
    }
    save(&options.folder, &row)
}
