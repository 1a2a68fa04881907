//! The same scheduled job on three replicas runs once, although their clocks differ.
//!
//! `cargo run --bin nightly`, or with a server:
//! `LOCK_URL=redis://127.0.0.1:6379 cargo run --bin nightly`

use std::error::Error;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use lock_examples::Replica;
use lock_runtime::{LockError, distributed_lock};
use tokio::time::sleep;

/// How much later than the first one each replica believes that it is midnight.
const CLOCKS: [Duration; 3] = [Duration::ZERO, Duration::from_millis(300), Duration::from_millis(600)];

static RUNS: AtomicU32 = AtomicU32::new(0);

/// The job is over after 0.1 s, before the second replica's clock strikes. Without `hold_at_least`
/// that replica would find the lock free and run the job again; so it is longer than any two clocks
/// differ, and shorter than the time between two nights.
#[distributed_lock(
    key = "nightly-report", ttl = "10s", on_conflict = "skip", hold_at_least = "1m", manager = replica.locks,
)]
async fn report(replica: &Replica) -> Result<Option<u32>, LockError> {
    replica.says("has the lock, writes the report");
    sleep(Duration::from_millis(100)).await;
    replica.says("is done; the lock stays taken for the rest of the minute");
    Ok(Some(RUNS.fetch_add(1, Ordering::SeqCst) + 1))
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    println!("Three replicas have the same job at midnight, and clocks that differ.");
    let [a, b, c] = lock_examples::replicas("nightly").await?;
    tokio::try_join!(
        midnight(&a, CLOCKS[0]),
        midnight(&b, CLOCKS[1]),
        midnight(&c, CLOCKS[2])
    )?;

    let runs = RUNS.load(Ordering::SeqCst);
    println!("\nThe job ran {runs} time(s), on three replicas.");
    Ok(if runs == 1 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn midnight(replica: &Replica, late: Duration) -> Result<(), LockError> {
    sleep(late).await;
    replica.says(format_args!("midnight, {} ms after the first", late.as_millis()));
    match report(replica).await? {
        Some(number) => replica.says(format_args!("report number {number} is written")),
        None => replica.says("skips: somebody else did it"),
    }
    Ok(())
}
