//! Three replicas, one order, one lock: what each policy does, what happens when a lease is lost,
//! and how a fence stops a write that comes too late.
//!
//! `cargo run --bin quickstart` needs nothing. With a server:
//! `LOCK_URL=redis://127.0.0.1:6379 cargo run --bin quickstart`

mod conflict;
mod lost;
mod stale;

use std::error::Error;
use std::process::ExitCode;

/// What went wrong, in words.
type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => {
            println!("\nAll as it should be.");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("\nThis went wrong: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Failure> {
    println!("Three replicas of a shop want the same order at the same moment.");
    let replicas = lock_examples::replicas("quickstart").await?;

    conflict::fail(&replicas).await?;
    conflict::retry(&replicas).await?;
    conflict::skip(&replicas).await?;
    lost::compensated(&replicas).await?;
    stale::refused(&replicas).await
}

/// The program checks what it shows: it ends with an error when the locks did not do as described.
fn check(holds: bool, what: &str) -> Result<(), Failure> {
    if holds {
        Ok(())
    } else {
        Err(format!("expected that {what}").into())
    }
}
