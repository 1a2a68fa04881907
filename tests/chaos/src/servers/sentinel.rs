//! A master with two replicas, and three sentinels.
//!
//! Sentinels send clients to the servers' own ports, so there is no proxy between: connections are cut, and requests
//! are held up, by the server itself.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use fastrand::Rng;
use lock_tests::RedisServer;
use lock_tests::sentinel_group::{SERVICE, SentinelGroup, SentinelSetup};

use super::{Fault, Servers, follows, role, seconds, strike_one, tell, until};

/// Three servers and their sentinels.
pub(crate) struct Sentinel {
    group: SentinelGroup,
}

impl Sentinel {
    pub(crate) fn start() -> Sentinel {
        Sentinel {
            group: SentinelGroup::start_with(SentinelSetup {
                replicas: Some(2),
                sentinels: Some(3),
                ..SentinelSetup::default()
            }),
        }
    }

    /// The server that all sentinels name, and that agrees.
    fn agreed_master(&self) -> Option<usize> {
        let ports = self.group.sentinels.iter().map(|sentinel| {
            let named = sentinel
                .try_cli(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE])
                .ok()?;
            named.lines().nth(1)?.parse::<u16>().ok()
        });
        let ports: Option<Vec<u16>> = ports.collect();
        let ports = ports?;
        let first = *ports.first()?;
        let master = self.group.servers.iter().position(|server| server.port() == first)?;
        let agreed = ports.iter().all(|port| *port == first);
        (agreed && role(&self.group.servers[master])? == "master").then_some(master)
    }

    /// One master, which all others follow.
    fn is_well(&self) -> bool {
        self.agreed_master().is_some_and(|master| {
            let mut others = (0..self.group.servers.len()).filter(|number| *number != master);
            others.all(|number| follows(&self.group.servers[number]))
        })
    }

    fn hand_over(&self) -> Result<()> {
        let old = self.group.master();
        let mut asked = false;
        until("another master", || {
            // Refused while a failover is under way, or no replica is good enough yet.
            asked = asked
                || self.group.sentinels[0]
                    .try_cli(&["SENTINEL", "FAILOVER", SERVICE])
                    .is_ok();
            asked && self.agreed_master().is_some_and(|master| master != old)
        })
    }
}

impl Servers for Sentinel {
    fn url(&self) -> String {
        self.group.url()
    }

    fn faults(&self) -> &'static [Fault] {
        &[
            Fault::FailOver,
            Fault::FailOver,
            Fault::HandOver,
            Fault::Restart,
            Fault::Pause,
            Fault::Pause,
            Fault::Flush,
            Fault::Fill,
            Fault::Cut,
            Fault::Delay,
        ]
    }

    fn forgetful(&self) -> &'static [Fault] {
        // A pause too, and a delay on a busy machine: the master may be replaced meanwhile.
        &[
            Fault::FailOver,
            Fault::HandOver,
            Fault::Restart,
            Fault::Pause,
            Fault::Delay,
            Fault::Flush,
        ]
    }

    fn strike(&mut self, fault: Fault, length: Duration, random: &mut Rng) -> Result<String> {
        let number = self.group.master();
        let mut what = format!("{} of server {number} ({})", fault.name(), seconds(length));
        match fault {
            Fault::FailOver => {
                let new = self.group.fail_over();
                thread::sleep(length);
                self.group.restart_as_replica(number);
                what = format!("{}, to {new}", what);
            }
            Fault::HandOver => self.hand_over()?,
            Fault::Restart => self.group.servers[number].restart_with(|config| {
                // What it was when the group was started may be another's replica.
                config.set("replicaof", "no one");
            }),
            Fault::Cut => {
                let over = Instant::now() + length;
                while Instant::now() < over {
                    // Normal clients: not the replicas, but those who listen.
                    for kind in ["normal", "pubsub"] {
                        tell(&self.group.servers[number], &["CLIENT", "KILL", "TYPE", kind])?;
                    }
                    thread::sleep(Duration::from_millis(random.u64(5..100)));
                }
            }
            Fault::Delay => {
                // Below the second after which the sentinels would take it for dead.
                let hold_up = random.u64(50..800).to_string();
                tell(&self.group.servers[number], &["CLIENT", "PAUSE", &hold_up, "ALL"])?;
                thread::sleep(length);
            }
            Fault::Pause | Fault::Flush | Fault::Fill => {
                strike_one(&mut self.group.servers[number], fault, length)?;
            }
            other => bail!("`{}` does not happen behind sentinels", other.name()),
        }
        // The next fault finds a master, and does not have to wait for one.
        until("one master, which the others follow", || self.is_well())?;
        Ok(what)
    }

    fn until_well(&mut self) -> Result<()> {
        until("one master, which the others follow", || self.is_well())
    }

    fn all(&self) -> Vec<&RedisServer> {
        self.group.servers.iter().collect()
    }
}
