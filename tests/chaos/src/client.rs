//! A client process: tasks that take locks and update counters under them, until standard input ends.

mod body;
mod calls;
mod watched;

use std::io::{Read as _, Write as _};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use fastrand::Rng;
use lock_runtime::{LockError, LockManager};
use tokio::runtime::{Builder, Handle};
use tokio::task::JoinSet;

use crate::flags::Work;
use crate::protocol::Line;
use crate::resource::Resource;

/// How long leases live without renewal: short, so that faults matter.
pub(crate) const TTL: Duration = Duration::from_secs(2);
/// How many locks half of the calls want.
pub(crate) const HOT: u64 = 3;
/// How many locks the others want.
pub(crate) const MANY: u64 = 60;

/// What all tasks of the process share.
struct Context {
    manager: LockManager,
    resource: Resource,
    without_fences: bool,
    /// Where leases are watched: not where a body may block a thread.
    watchers: Handle,
    /// Numbers the holds of this process.
    next: AtomicU64,
    /// Standard input has ended.
    end: AtomicBool,
}

/// The name of a key by its number.
pub(crate) fn name(key: u64) -> String {
    if key < HOT {
        format!("hot:{key}")
    } else {
        format!("many:{}", key - HOT)
    }
}

/// Says something to the parent.
fn say(line: &Line) {
    // In one piece, so that it cannot be torn by a kill. Without a parent there is nothing left to do.
    if std::io::stdout()
        .lock()
        .write_all(format!("{line}\n").as_bytes())
        .is_err()
    {
        process::exit(1);
    }
}

/// Runs until standard input ends, and then until all tasks have finished.
///
/// # Errors
/// When the counters are out of reach.
pub(crate) fn run(work: &Work) -> Result<()> {
    let runtime = |threads| Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    let watchers = runtime(1).context("no runtime")?;
    let workers = runtime(2).context("no runtime")?;
    workers.block_on(work_on(work, watchers.handle().clone()))
}

async fn work_on(work: &Work, watchers: Handle) -> Result<()> {
    let Some(manager) = connect(&work.url).await else {
        return Ok(());
    };
    manager.install().context("in a new process")?;
    let context = Arc::new(Context {
        manager,
        resource: Resource::connect(&work.resource).await?,
        without_fences: work.without_fences,
        watchers,
        next: AtomicU64::new(0),
        end: AtomicBool::new(false),
    });
    let ended = Arc::clone(&context);
    thread::spawn(move || {
        // An error is an end too.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        ended.end.store(true, Ordering::SeqCst);
    });

    let mut random = Rng::with_seed(work.seed);
    let mut tasks = JoinSet::new();
    for _ in 0..work.tasks {
        tasks.spawn(calls::until_the_end(Arc::clone(&context), random.fork()));
    }
    while let Some(task) = tasks.join_next().await {
        if let Err(error) = task {
            say(&Line::Wrong {
                what: error.to_string(),
            });
        }
    }
    context.manager.shutdown(Duration::from_secs(1)).await;
    say(&Line::Bye);
    Ok(())
}

/// Connects, also to servers that are broken right now; `None`: with what is wrong said.
async fn connect(url: &str) -> Option<LockManager> {
    loop {
        match LockManager::builder().url(url).default_ttl(TTL).connect().await {
            Ok(manager) => return Some(manager),
            Err(error @ LockError::Unavailable { .. }) => {
                say(&Line::Unavailable {
                    reason: error.to_string(),
                });
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Err(error) => {
                say(&Line::Wrong {
                    what: error.to_string(),
                });
                return None;
            }
        }
    }
}
