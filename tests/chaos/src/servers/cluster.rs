//! Three masters with a replica each, all behind proxies to which the cluster sends its clients.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use fastrand::Rng;
use lock_tests::{ClusterGroup, Proxy, RedisServer};

use super::{Fault, Servers, follows, links, role, seconds, tell, until};

/// The nodes of a cluster.
pub(crate) struct Cluster {
    // Before the nodes: nobody connects to what is gone.
    links: Vec<Proxy>,
    group: ClusterGroup,
}

impl Cluster {
    /// # Errors
    /// When the nodes do not agree on where clients find them.
    pub(crate) fn start() -> Result<Cluster> {
        let group = ClusterGroup::with_replicas();
        let links: Vec<Proxy> = group.nodes().iter().map(Proxy::to).collect();
        for (node, link) in group.nodes().iter().zip(&links) {
            announce(node, link)?;
        }
        let cluster = Cluster { links, group };
        until("the nodes know where clients find them", || {
            cluster.group.nodes().iter().all(|node| {
                let known = node.try_cli(&["CLUSTER", "NODES"]).unwrap_or_default();
                cluster
                    .links
                    .iter()
                    .all(|link| known.contains(&format!("127.0.0.1:{}@", link.port())))
            })
        })?;
        Ok(cluster)
    }

    /// A master, drawn from those of now.
    fn a_master(&self, random: &mut Rng) -> Result<usize> {
        random.choice(self.group.masters()).context("the cluster has a master")
    }

    /// A replica that follows its master, drawn from those of now.
    fn a_replica(&self, random: &mut Rng) -> Result<usize> {
        let masters = self.group.masters();
        let replicas = (0..self.group.nodes().len()).filter(|number| !masters.contains(number));
        random
            .choice(replicas.collect::<Vec<_>>())
            .context("the cluster has a replica")
    }

    /// Three masters that serve all slots, and three replicas that follow them.
    fn is_well(&self) -> bool {
        let nodes = self.group.nodes();
        let masters = nodes.iter().filter(|node| role(node).as_deref() == Some("master"));
        let serves = |node: &RedisServer| {
            let info = node.try_cli(&["CLUSTER", "INFO"]).unwrap_or_default();
            info.contains("cluster_state:ok")
        };
        masters.count() == 3 && nodes.iter().filter(|node| follows(node)).count() == 3 && nodes.iter().all(serves)
    }

    /// A move that was finished may stay open at one of its nodes, and then the cluster is not whole again after the next
    /// failover: a node leaves a slot that it imports to its operator, who does what is done here.
    fn close_slots(&self) {
        for node in self.group.nodes() {
            let nodes = node.try_cli(&["CLUSTER", "NODES"]).unwrap_or_default();
            let own = nodes.lines().find(|line| line.contains("myself")).unwrap_or_default();
            for open in own.split(' ').filter_map(|word| word.strip_prefix('[')) {
                let slot = open.split('-').next().unwrap_or_default();
                // A node that cannot do it is one that the next look finds.
                drop(node.try_cli(&["CLUSTER", "SETSLOT", slot, "STABLE"]));
            }
        }
    }

    fn revive(&mut self, number: usize) -> Result<()> {
        self.group.restart(number);
        // It has forgotten that.
        announce(self.group.node(number), &self.links[number])
    }

    fn migrate(&self, length: Duration, random: &mut Rng) -> Result<String> {
        let key = format!("lock:{}", crate::client::name(random.u64(..crate::client::HOT)));
        let slot = self.group.slot_of(&key);
        let from = self.group.master_of(slot);
        let others: Vec<usize> = self
            .group
            .masters()
            .into_iter()
            .filter(|number| *number != from)
            .collect();
        let to = random.choice(others).context("another master")?;
        let migration = self.group.migrate(slot, to);
        thread::sleep(length / 2);
        migration.move_keys();
        thread::sleep(length / 2);
        migration.finish();
        Ok(format!("slot {slot} of {key} from {from} to {to}"))
    }
}

/// Lets the cluster send the clients of this node to its proxy.
fn announce(node: &RedisServer, link: &Proxy) -> Result<()> {
    let (port, bus) = (link.port().to_string(), (node.port() + 10_000).to_string());
    tell(node, &["CONFIG", "SET", "cluster-announce-port", &port])?;
    tell(node, &["CONFIG", "SET", "cluster-announce-bus-port", &bus])
}

impl Servers for Cluster {
    fn url(&self) -> String {
        let addresses: Vec<_> = self
            .links
            .iter()
            .map(|link| format!("127.0.0.1:{}", link.port()))
            .collect();
        format!("redis+cluster://{}", addresses.join(","))
    }

    fn faults(&self) -> &'static [Fault] {
        &[
            Fault::FailOver,
            Fault::HandOver,
            Fault::Migrate,
            Fault::Migrate,
            Fault::Restart,
            Fault::Pause,
            Fault::Flush,
            Fault::Fill,
            Fault::Cut,
            Fault::Freeze,
            Fault::LoseReplies,
            Fault::Delay,
        ]
    }

    fn forgetful(&self) -> &'static [Fault] {
        // A pause too: the master may be replaced meanwhile.
        &[
            Fault::FailOver,
            Fault::HandOver,
            Fault::Restart,
            Fault::Pause,
            Fault::Flush,
        ]
    }

    fn strike(&mut self, fault: Fault, length: Duration, random: &mut Rng) -> Result<String> {
        let number = self.a_master(random)?;
        let mut what = format!("{} of node {number} ({})", fault.name(), seconds(length));
        match fault {
            Fault::FailOver => {
                let slot = (0..lock_tests::cluster_group::SLOTS).step_by(64);
                let slot = { slot }.find(|slot| self.group.master_of(*slot) == number);
                let slot = slot.context("a master has slots")?;
                self.group.kill(number);
                let new = self.group.until_another_master_than(number, slot);
                thread::sleep(length);
                self.revive(number)?;
                what = format!("{what}, to {new}");
            }
            Fault::HandOver => {
                let replica = self.a_replica(random)?;
                self.group.hand_over_to(replica);
                what = format!("{} to node {replica}", fault.name());
            }
            Fault::Migrate => what = format!("{}: {}", fault.name(), self.migrate(length, random)?),
            Fault::Restart => {
                self.group.kill(number);
                self.revive(number)?;
            }
            Fault::Pause => {
                self.group.pause(number);
                thread::sleep(length);
                self.group.resume(number);
            }
            Fault::Flush => tell(self.group.node(number), &["FLUSHALL"])?,
            Fault::Fill => {
                tell(self.group.node(number), &["CONFIG", "SET", "maxmemory", "1"])?;
                thread::sleep(length);
                tell(self.group.node(number), &["CONFIG", "SET", "maxmemory", "0"])?;
            }
            _ if links::strike(&self.links[number], fault, length, random) => {}
            other => bail!("`{}` does not happen to a cluster", other.name()),
        }
        // The next fault finds masters, replicas, and nodes that agree.
        self.close_slots();
        until("three masters with a replica each", || self.is_well())?;
        Ok(what)
    }

    fn until_well(&mut self) -> Result<()> {
        until("three masters with a replica each", || self.is_well())
    }

    fn all(&self) -> Vec<&RedisServer> {
        self.group.nodes().iter().collect()
    }
}
