//! The servers of each topology, and what may happen to them.

mod cluster;
mod links;
mod redlock;
mod sentinel;
mod single;

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use fastrand::Rng;
use lock_tests::RedisServer;

pub(crate) use cluster::Cluster;
pub(crate) use redlock::Redlock;
pub(crate) use sentinel::Sentinel;
pub(crate) use single::Single;

/// The longest that servers may take to be well again when everything is healed.
const WELL: Duration = Duration::from_secs(60);

/// Where the locks are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Topology {
    Single,
    Sentinel,
    Cluster,
    Redlock,
}

impl Topology {
    /// The topology of this name.
    pub(crate) fn named(name: &str) -> Option<Topology> {
        [
            Topology::Single,
            Topology::Sentinel,
            Topology::Cluster,
            Topology::Redlock,
        ]
        .into_iter()
        .find(|topology| topology.to_string() == name)
    }

    /// Starts its servers.
    ///
    /// # Errors
    /// When they do not get well.
    pub(crate) fn start(self) -> Result<Box<dyn Servers>> {
        Ok(match self {
            Topology::Single => Box::new(Single::start()),
            Topology::Sentinel => Box::new(Sentinel::start()),
            Topology::Cluster => Box::new(Cluster::start()?),
            Topology::Redlock => Box::new(Redlock::start()),
        })
    }
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Topology::Single => "single",
            Topology::Sentinel => "sentinel",
            Topology::Cluster => "cluster",
            Topology::Redlock => "redlock",
        })
    }
}

/// What may happen to servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Killed, and started without data some time later.
    Kill,
    /// Killed, and started without data at once.
    Restart,
    /// SIGSTOP, and SIGCONT some time later.
    Pause,
    Flush,
    /// No memory is left for some time.
    Fill,
    /// Connections are closed, and new ones refused for some time.
    Cut,
    /// Nothing passes for some time; then what was under way arrives.
    Freeze,
    /// Requests of the connections of now arrive some time later.
    HoldBack,
    /// Requests arrive, replies do not.
    LoseReplies,
    /// Replies are late.
    Delay,
    /// The master is killed, a replica takes over, the old master becomes its replica.
    FailOver,
    /// A replica takes over in good order.
    HandOver,
    /// A slot moves to another master, key by key.
    Migrate,
}

const FAULTS: [(Fault, &str); 13] = [
    (Fault::Kill, "kill"),
    (Fault::Restart, "restart"),
    (Fault::Pause, "pause"),
    (Fault::Flush, "flush"),
    (Fault::Fill, "fill"),
    (Fault::Cut, "cut"),
    (Fault::Freeze, "freeze"),
    (Fault::HoldBack, "hold-back"),
    (Fault::LoseReplies, "lose-replies"),
    (Fault::Delay, "delay"),
    (Fault::FailOver, "fail-over"),
    (Fault::HandOver, "hand-over"),
    (Fault::Migrate, "migrate"),
];

impl Fault {
    pub(crate) fn name(self) -> &'static str {
        FAULTS
            .iter()
            .find(|(fault, _)| *fault == self)
            .map_or("", |(_, name)| name)
    }

    /// The fault of this name.
    pub(crate) fn named(name: &str) -> Option<Fault> {
        FAULTS.iter().find(|(_, other)| *other == name).map(|(fault, _)| *fault)
    }
}

/// The servers of a topology. Dropped, they are gone.
pub(crate) trait Servers: Send {
    /// For the clients.
    fn url(&self) -> String;

    /// What may happen to them; what stands here more than once happens more often.
    fn faults(&self) -> &'static [Fault];

    /// Those after which they may have forgotten locks that are still claimed. Without them, no two holds may overlap.
    fn forgetful(&self) -> &'static [Fault];

    /// Lets `fault` happen for about `length`, and returns when its cause is over. What it was, for a reader.
    ///
    /// # Errors
    /// When a server of ours does not do what it is told.
    fn strike(&mut self, fault: Fault, length: Duration, random: &mut Rng) -> Result<String>;

    /// Waits until all of them are well; nothing happens to them any more.
    ///
    /// # Errors
    /// When they do not get well.
    fn until_well(&mut self) -> Result<()>;

    /// The servers that may have keys.
    fn all(&self) -> Vec<&RedisServer>;
}

/// The locks that are held, as the servers know them, and how long each is still to live; `None`: for ever.
///
/// # Errors
/// When a server does not answer.
pub(crate) fn locks(servers: &dyn Servers) -> Result<Vec<(String, Option<Duration>)>> {
    let mut locks = Vec::new();
    for server in servers.all() {
        let ask = |command: &[&str]| server.try_cli(command).map_err(anyhow::Error::msg);
        for key in ask(&["KEYS", "*"])?.lines() {
            if key.is_empty() || key.starts_with("distributed-lock:") {
                continue;
            }
            let left: i64 = ask(&["PTTL", key])?.parse().context("PTTL is a number")?;
            match left {
                // It has gone meanwhile.
                -2 => {}
                left => locks.push((key.to_owned(), u64::try_from(left).ok().map(Duration::from_millis))),
            }
        }
    }
    Ok(locks)
}

/// What may happen to one server that nobody else depends on.
///
/// # Errors
/// When it does not do what it is told, or such a thing does not happen to one server.
fn strike_one(server: &mut RedisServer, fault: Fault, length: Duration) -> Result<()> {
    match fault {
        Fault::Kill => {
            server.kill();
            thread::sleep(length);
            server.restart();
        }
        Fault::Restart => server.restart(),
        Fault::Pause => {
            server.pause();
            thread::sleep(length);
            server.resume();
        }
        Fault::Flush => tell(server, &["FLUSHALL"])?,
        Fault::Fill => {
            // One byte: less than an empty server uses.
            tell(server, &["CONFIG", "SET", "maxmemory", "1"])?;
            thread::sleep(length);
            tell(server, &["CONFIG", "SET", "maxmemory", "0"])?;
        }
        other => bail!("`{}` does not happen to one server", other.name()),
    }
    Ok(())
}

/// A command that the server must carry out.
fn tell(server: &RedisServer, command: &[&str]) -> Result<()> {
    let reply = server.try_cli(command).map_err(anyhow::Error::msg);
    reply.map(drop).with_context(|| command.join(" "))
}

/// The first word of ROLE, if the server answers.
fn role(server: &RedisServer) -> Option<String> {
    let reply = server.try_cli(&["ROLE"]).ok()?;
    reply.lines().next().map(str::to_owned)
}

/// Whether it is a replica that follows a master.
fn follows(server: &RedisServer) -> bool {
    let info = server.try_cli(&["INFO", "replication"]).unwrap_or_default();
    info.contains("role:slave") && info.contains("master_link_status:up")
}

/// Waits for what must come true some time.
fn until(what: &str, mut condition: impl FnMut() -> bool) -> Result<()> {
    let start = Instant::now();
    while !condition() {
        if start.elapsed() > WELL {
            bail!("not within {WELL:?}: {what}");
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Seconds, for a reader.
fn seconds(length: Duration) -> String {
    format!("{:.1} s", length.as_secs_f64())
}
