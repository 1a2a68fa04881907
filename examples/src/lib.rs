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
    // `memory://name` is one store for all managers of this process that use the same name.
    let url = std::env::var("LOCK_URL").ok().filter(|url| !url.is_empty());
    let url = url.unwrap_or_else(|| format!("memory://{example}"));
    // With a namespace for each run, two runs on one server do not get into each other's way. A
    // service would take its own name, so that all its processes do.
    let namespace = format!("{example}-{}:", std::process::id());
    let place = if url.starts_with("memory:") {
        "in this process"
    } else {
        "on the server that LOCK_URL names"
    };
    println!("Their locks are {place}.\n");

    let replica = async |name: &'static str| {
        let builder = LockManager::builder().url(&url).namespace(&namespace).owner(name);
        Ok(Replica {
            name,
            locks: builder.connect().await?,
        })
    };
    Ok([
        replica("replica-1").await?,
        replica("replica-2").await?,
        replica("replica-3").await?,
    ])
}
