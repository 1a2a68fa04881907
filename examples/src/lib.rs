//! What the examples share: three replicas of one service, and where their locks live.
//!
//! The tests of this package also compile and run every code block of the READMEs.

use std::fmt::Display;

use lock_runtime::{LockError, LockManager};

#[cfg(doctest)]
mod readmes;

/// One replica of a service. The examples start three in one process; in real life each is a
/// process on a machine of its own, and nothing else changes.
#[derive(Debug)]
pub struct Replica {
    /// How it is called in the output, and by `inspect`.
    pub name: &'static str,
    /// Its way to the locks. Cheap to clone; one for each process.
    pub locks: LockManager,
}

impl Replica {
    /// Prints one line of the story.
    pub fn says(&self, what: impl Display) {
        println!("   {:<10} {what}", self.name);
    }
}

/// Three replicas that share their locks: on the server that `LOCK_URL` names, or, without it, in
/// this process.
///
/// # Errors
/// When `LOCK_URL` is no URL of ours, or its server does not answer.
pub async fn replicas(example: &str) -> Result<[Replica; 3], LockError> {
    let place = if is_in_this_process() {
        "in this process"
    } else {
        "on the server that LOCK_URL names"
    };
    println!("Their locks are {place}.\n");
    let run = std::process::id();
    Ok([
        replica(example, run, "replica-1").await?,
        replica(example, run, "replica-2").await?,
        replica(example, run, "replica-3").await?,
    ])
}

/// One more replica of the example that process `run` shows.
///
/// # Errors
/// As [`replicas`].
pub async fn replica(example: &str, run: u32, name: &'static str) -> Result<Replica, LockError> {
    // `memory://name` is one store for all managers of this process that use the same name.
    let url = server().unwrap_or_else(|| format!("memory://{example}"));
    // With a namespace for each run, two runs on one server do not get into each other's way. A
    // service would take its own name, so that all its processes do.
    let builder = LockManager::builder().url(url).namespace(format!("{example}-{run}:"));
    Ok(Replica {
        name,
        locks: builder.owner(name).connect().await?,
    })
}

/// Whether the locks are in this process: other processes do not see them.
#[must_use]
pub fn is_in_this_process() -> bool {
    server().is_none_or(|url| url.starts_with("memory:"))
}

/// The server that the user names.
fn server() -> Option<String> {
    std::env::var("LOCK_URL").ok().filter(|url| !url.is_empty())
}
