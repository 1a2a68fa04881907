//! Row `in-process-one-key`: 64 tasks want one lock, and whoever has it lets the others run while it holds it.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use bench_report::{Check, Progress, Row, save};
use keyed_lock::r#async::KeyedLock;
use lock_runtime::{LockError, LockManager, distributed_lock};
use lockable::LockPool;
use tokio::task::{JoinSet, yield_now};

use crate::flags::Options;
use crate::keyed::{CLIENTS, Client, best_peer, name, runtimes};

const TASKS: u64 = 64;

/// What a body does.
#[derive(Clone, Copy)]
enum Body {
    /// Nothing: on one thread, tasks then run one after the other, and hardly one of them ever waits.
    Empty,
    /// It lets all the others run, once: they all wait.
    Yields,
}

impl Body {
    async fn run(self) {
        if let Body::Yields = self {
            yield_now().await;
        }
    }
}

#[distributed_lock(key = "order:<id>", on_conflict = "retry", wait = "1m", manager = locks)]
async fn annotated(locks: &LockManager, id: u64, body: Body) -> Result<(), LockError> {
    body.run().await;
    Ok(())
}

#[derive(Clone)]
struct Locks {
    ours: LockManager,
    keyed: Arc<KeyedLock<String>>,
    pool: Arc<LockPool<String>>,
}

async fn task(locks: Locks, client: Client, body: Body, count: u64) -> Result<(), LockError> {
    for _ in 0..count {
        match client {
            Client::KeyedLock => {
                let guard = locks.keyed.lock(name(1)).await;
                body.run().await;
                drop(black_box(guard));
            }
            Client::LockPool => {
                let guard = locks.pool.async_lock(name(1)).await;
                body.run().await;
                drop(black_box(guard));
            }
            Client::Annotated => annotated(&locks.ours, 1, body).await?,
            Client::Guard => {
                let wait = std::time::Duration::from_secs(60);
                let guard = locks.ours.lock(name(1)).wait(wait).acquire().await?;
                body.run().await;
                guard.release().await?;
            }
        }
    }
    Ok(())
}

async fn tasks(client: Client, body: Body, each: u64) -> Result<()> {
    let locks = Locks {
        ours: LockManager::in_memory(),
        keyed: Arc::new(KeyedLock::new()),
        pool: Arc::new(LockPool::new()),
    };
    let mut all = JoinSet::new();
    for _ in 0..TASKS {
        all.spawn(task(locks.clone(), client, body, each));
    }
    while let Some(ended) = all.join_next().await {
        ended??;
    }
    Ok(())
}

/// Measures the row on both kinds of runtime, with both bodies.
pub(crate) fn run(options: &Options, progress: &Progress) -> Result<()> {
    let (rounds, each) = if options.quick { (3, 200) } else { (11, 1_000) };
    let bodies = [("empty", Body::Empty), ("yields", Body::Yields)];
    for (kind, runtime) in runtimes()? {
        for (which, body) in bodies {
            let title = format!("in-process-one-key-{which}-{kind}");
            if !options.wants(&title) {
                continue;
            }
            let what = format!("in this process, 64 tasks on one key, against the best keyed mutex ({which}, {kind})");
            let mut row = Row::new(12, &title, &what)
                .target("at most 1.0")
                .peer("1")
                .figures(&[("ns", "ns")]);
            for round in 1..=rounds {
                for (variant, client) in CLIENTS {
                    let began = Instant::now();
                    runtime.block_on(async { tokio::spawn(tasks(client, body, each)).await })??;
                    let nanos = began.elapsed().as_secs_f64() * 1e9 / (each * TASKS) as f64;
                    row.variant(variant).round(&[("ns", nanos)]);
                    progress.step(&title, (round, rounds), variant, &format!("{nanos:.0} ns"));
                }
            }
            let best = best_peer(&row);
            row = row
                .check(Check::ratio("annotated", "annotated", &best, "ns").at_most(1.0))
                .check(Check::ratio("guard", "guard", &best, "ns").at_most(1.0))
                .base(&best);
            save(&options.folder, &row)?;
        }
    }
    Ok(())
}
