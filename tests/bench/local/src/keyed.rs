//! Row `in-process-alone`: one task takes and gives back locks that nobody else wants, a hundred names in turn.

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Context, Result};
use bench_report::{Check, Progress, Row, save};
use keyed_lock::r#async::KeyedLock;
use lock_runtime::{LockError, LockManager, distributed_lock};
use lockable::LockPool;
use tokio::runtime::{Builder, Runtime};

use crate::flags::Options;

/// Whose locks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    KeyedLock,
    LockPool,
    /// An annotated function, by the same manager as the next.
    Annotated,
    /// `manager.lock(…).acquire()` and `release()`.
    Guard,
}

pub(crate) const CLIENTS: [(&str, Client); 4] = [
    ("keyed-lock", Client::KeyedLock),
    ("lockable::LockPool", Client::LockPool),
    ("annotated", Client::Annotated),
    ("guard", Client::Guard),
];

/// A runtime of each kind, and what to call it.
pub(crate) fn runtimes() -> Result<[(&'static str, Runtime); 2]> {
    let one = Builder::new_current_thread().enable_all().build();
    let many = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    Ok([
        ("current-thread", one.context("a runtime")?),
        ("multi-thread", many.context("a runtime")?),
    ])
}

pub(crate) fn name(number: u64) -> String {
    format!("order:{number}")
}

#[distributed_lock(key = "order:<id>", on_conflict = "retry", manager = locks)]
async fn annotated(locks: &LockManager, id: u64) -> Result<u64, LockError> {
    Ok(black_box(id))
}

async fn calls(client: Client, count: u64) -> Result<()> {
    let locks = LockManager::in_memory();
    let keyed = KeyedLock::<String>::new();
    let pool = LockPool::<String>::new();
    for number in 0..count {
        let id = number % 100;
        match client {
            Client::KeyedLock => drop(black_box(keyed.lock(name(id)).await)),
            Client::LockPool => drop(black_box(pool.async_lock(name(id)).await)),
            Client::Annotated => drop(annotated(&locks, id).await?),
            Client::Guard => locks.lock(name(id)).acquire().await?.release().await?,
        }
    }
    Ok(())
}

/// The limit is against the better of the two peers, whichever it is on the day.
pub(crate) fn best_peer(row: &Row) -> String {
    let medians = ["keyed-lock", "lockable::LockPool"].map(|peer| (row.find(peer).and_then(|v| v.median("ns")), peer));
    let best = medians
        .into_iter()
        .filter_map(|(median, peer)| Some((median?, peer)))
        .min_by(|one, other| one.0.total_cmp(&other.0));
    best.map_or("keyed-lock", |(_, peer)| peer).to_owned()
}

/// Measures the row on both kinds of runtime.
pub(crate) fn run(options: &Options, progress: &Progress) -> Result<()> {
    let (rounds, count) = if options.quick { (3, 20_000) } else { (11, 100_000) };
    for (kind, runtime) in runtimes()? {
        let title = format!("in-process-alone-{kind}");
        if !options.wants(&title) {
            continue;
        }
        let what = format!("in this process, uncontended, against the best keyed mutex ({kind})");
        let mut row = Row::new(12, &title, &what)
            .target("at most 1.5")
            .peer("1")
            .figures(&[("ns", "ns")])
            .note("A call of ours is a whole lease: fence, deadline, renewal, loss, shutdown. The peers are mutexes.");
        for round in 1..=rounds {
            for (variant, client) in CLIENTS {
                let began = Instant::now();
                runtime.block_on(async { tokio::spawn(calls(client, count)).await })??;
                let nanos = began.elapsed().as_secs_f64() * 1e9 / count as f64;
                row.variant(variant).round(&[("ns", nanos)]);
                progress.step(&title, (round, rounds), variant, &format!("{nanos:.0} ns"));
            }
        }
        let best = best_peer(&row);
        row = row
            .check(Check::ratio("annotated", "annotated", &best, "ns").at_most(1.5))
            .check(Check::ratio("guard", "guard", &best, "ns").at_most(1.5))
            .base(&best);
        save(&options.folder, &row)?;
    }
    Ok(())
}
