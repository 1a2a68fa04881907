//! A master and its replicas.

use std::time::Duration;

use crate::redlock_group::start_all;
use crate::server::Config;
use crate::{RedisServer, eventually_blocking};

/// The longest that servers may take to agree; far beyond what a loaded machine needs.
const AGREE: Duration = Duration::from_secs(30);

/// A master with replicas that follow it.
#[derive(Debug)]
pub struct Replication {
    // The replicas go first: they do not look for a master that is gone.
    /// The servers that copy the master.
    pub replicas: Vec<RedisServer>,
    /// The server that is written to.
    pub master: RedisServer,
}

impl Replication {
    /// Starts a master with so many replicas, and waits until they are in sync.
    #[must_use]
    pub fn start(replicas: usize) -> Replication {
        Replication::start_with(replicas, |_| {})
    }

    /// As [`Replication::start`], with directives of the test's own for all of them.
    #[must_use]
    pub fn start_with(replicas: usize, configure: impl Fn(&mut Config) + Sync) -> Replication {
        let master = RedisServer::start_with(|config| {
            config.set("repl-diskless-sync-delay", 0);
            configure(config);
        });
        let replicas = start_all(replicas, |_, config| {
            config.replica_of(master.port());
            configure(config);
        });
        let pair = Replication { replicas, master };
        pair.until_in_sync();
        pair
    }

    /// Waits until every replica has all that the master has.
    ///
    /// # Panics
    /// When they do not get there.
    pub fn until_in_sync(&self) {
        for replica in &self.replicas {
            until_in_sync(replica);
        }
        // A write, because only one says whether a new replica is told of writes yet; the first may
        // take a second.
        let count = self.replicas.len().to_string();
        let write = ["PUBLISH", "harness", "in sync"];
        eventually_blocking("the replicas confirm a write", AGREE, || {
            let replies = self.master.try_session(&[&write, &["WAIT", &count, "2000"]]);
            replies.is_ok_and(|replies| replies[1] == count)
        });
    }
}

/// Waits until this replica follows its master.
///
/// # Panics
/// When it does not get there.
pub fn until_in_sync(replica: &RedisServer) {
    eventually_blocking("the replica follows its master", AGREE, || {
        info(replica, "replication", "master_link_status").as_deref() == Some("up")
    });
}

/// The first word of ROLE: `master`, `slave` or `sentinel`.
///
/// # Panics
/// When the server does not answer.
#[must_use]
pub fn role(server: &RedisServer) -> String {
    server.cli(&["ROLE"]).lines().next().unwrap_or_default().to_owned()
}

/// A field of INFO.
///
/// # Panics
/// When the server does not answer.
#[must_use]
pub fn info(server: &RedisServer, section: &str, field: &str) -> Option<String> {
    let info = server.cli(&["INFO", section]);
    let value = info
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':').map(str::to_owned));
    value.map(|value| value.trim().to_owned())
}
