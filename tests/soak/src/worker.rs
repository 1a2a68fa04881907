//! A worker process: runs stored calls until it is killed, or its standard input ends.

use std::io::Read;
use std::time::Duration;

use anyhow::{Context, Result};
use lock_runtime::LockManager;
use tokio::sync::oneshot;

use crate::flags::Work;
use crate::log::Log;

/// How soon the calls of a killed worker come back.
const LEASE: Duration = Duration::from_secs(2);

#[tokio::main]
pub(crate) async fn run(work: &Work) -> Result<()> {
    // The poison's panics are wanted, and the judge sees what becomes of them.
    std::panic::set_hook(Box::new(|_| {}));
    let log = Log::open(&work.log, work.life).await?;
    let owner = format!("life-{}", work.life);
    let locks = LockManager::builder().url(&work.locks).owner(owner).connect().await?;
    let (end, ended) = oneshot::channel();
    std::thread::spawn(move || {
        let mut rest = Vec::new();
        // However it ends, that is the end.
        let _ = std::io::stdin().read_to_end(&mut rest);
        end.send(())
    });
    let worker = locks.worker().state(log).claim_lease(LEASE);
    worker.run_until(ended).await.context("the worker")?;
    locks.shutdown(Duration::from_secs(1)).await;
    Ok(())
}
