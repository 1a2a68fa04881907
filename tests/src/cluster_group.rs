//! A Redis Cluster: its nodes, who has which slot, and failovers.

use std::time::{Duration, Instant};

use crate::redlock_group::start_all;
use crate::replication::{info, role, until_in_sync};
use crate::{Proxy, RedisServer, eventually_blocking};

/// How many slots a cluster has.
pub const SLOTS: u16 = 16384;
/// The longest that the nodes may take to agree; far beyond what a loaded machine needs.
pub(crate) const AGREE: Duration = Duration::from_secs(60);
/// The longest that a replica tries to take over in good order.
const HAND_OVER: Duration = Duration::from_secs(6);
/// How many nodes have slots.
const MASTERS: usize = 3;
/// How long a node may be silent before it counts as failed.
const NODE_TIMEOUT: u32 = 1500;

/// Three masters with a third of the slots each, and a replica of each if the test wants that. Node
/// `n + 3` is the replica of node `n` in the beginning.
#[derive(Debug)]
pub struct ClusterGroup {
    nodes: Vec<RedisServer>,
    /// Which nodes hang, so that nobody asks them.
    hung: Vec<bool>,
    proxies: Vec<Proxy>,
}

impl ClusterGroup {
    /// Three masters.
    #[must_use]
    pub fn start() -> ClusterGroup {
        ClusterGroup::assembled(MASTERS, false)
    }

    /// Three masters with a replica each.
    #[must_use]
    pub fn with_replicas() -> ClusterGroup {
        ClusterGroup::assembled(MASTERS * 2, false)
    }

    /// Three masters, each behind a proxy to which the cluster sends its clients.
    #[must_use]
    pub fn behind_proxies() -> ClusterGroup {
        ClusterGroup::assembled(MASTERS, true)
    }

    fn assembled(count: usize, behind_proxies: bool) -> ClusterGroup {
        let nodes = start_all(count, |_, config| {
            config
                .cluster_node()
                .set("cluster-node-timeout", NODE_TIMEOUT)
                // A replica stands for election however long its master was silent.
                .set("cluster-replica-validity-factor", 0)
                .set("repl-ping-replica-period", 1)
                .set("repl-diskless-sync-delay", 0);
        });
        let proxies: Vec<_> = if behind_proxies {
            nodes.iter().map(Proxy::to).collect()
        } else {
            Vec::new()
        };
        for (node, proxy) in nodes.iter().zip(&proxies) {
            let (port, bus) = (proxy.port().to_string(), bus(node));
            node.cli(&["CONFIG", "SET", "cluster-announce-port", &port]);
            node.cli(&["CONFIG", "SET", "cluster-announce-bus-port", &bus]);
        }
        let group = ClusterGroup {
            hung: vec![false; nodes.len()],
            nodes,
            proxies,
        };
        group.join();
        group
    }

    /// `redis+cluster://127.0.0.1:<port>,…`
    #[must_use]
    pub fn url(&self) -> String {
        self.url_with("", "")
    }

    /// The URL with `user:password@` and what follows the last port.
    #[must_use]
    pub fn url_with(&self, credentials: &str, rest: &str) -> String {
        let ports: Vec<_> = if self.proxies.is_empty() {
            self.nodes.iter().map(RedisServer::port).collect()
        } else {
            self.proxies.iter().map(Proxy::port).collect()
        };
        let addresses: Vec<_> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        format!("redis+cluster://{credentials}{}{rest}", addresses.join(","))
    }

    /// A node by its number.
    #[must_use]
    pub fn node(&self, number: usize) -> &RedisServer {
        &self.nodes[number]
    }

    /// All nodes.
    #[must_use]
    pub fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }

    /// The proxy in front of a node.
    ///
    /// # Panics
    /// When the cluster has none.
    #[must_use]
    pub fn proxy(&self, number: usize) -> &Proxy {
        &self.proxies[number]
    }

    /// The slot of a key.
    #[must_use]
    pub fn slot_of(&self, key: &str) -> u16 {
        self.awake().cli(&["CLUSTER", "KEYSLOT", key]).parse().unwrap()
    }

    /// The number of the node that is the master of this key's slot.
    #[must_use]
    pub fn node_of(&self, key: &str) -> usize {
        self.master_of(self.slot_of(key))
    }

    /// The number of the node that is the master of this slot.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn master_of(&self, slot: u16) -> usize {
        let found = self.known_master_of(self.awake(), slot);
        found.unwrap_or_else(|| panic!("slot {slot} has no master"))
    }

    /// A key with this prefix that belongs to node `number` now.
    ///
    /// # Panics
    /// When there is none among many.
    #[must_use]
    pub fn key_on(&self, number: usize, prefix: &str) -> String {
        (0..1000)
            .map(|count| format!("{prefix}{count}"))
            .find(|key| self.node_of(key) == number)
            .expect("a third of the keys belongs to each node")
    }

    /// The node hangs.
    pub fn pause(&mut self, number: usize) {
        self.nodes[number].pause();
        self.hung[number] = true;
    }

    /// The node goes on.
    pub fn resume(&mut self, number: usize) {
        self.nodes[number].resume();
        self.hung[number] = false;
    }

    /// The node is gone.
    pub fn kill(&mut self, number: usize) {
        self.nodes[number].kill();
        self.hung[number] = true;
    }

    /// A killed node comes back, as what the others know it to be, and without its keys.
    pub fn restart(&mut self, number: usize) {
        self.nodes[number].restart();
        self.hung[number] = false;
    }

    /// Waits until another node than `old`, whose slots include this one, has taken them over and
    /// all that are awake know it; its number.
    ///
    /// # Panics
    /// When that does not happen.
    #[must_use]
    pub fn until_another_master_than(&self, old: usize, slot: u16) -> usize {
        let mut new = old;
        eventually_blocking("a replica is promoted", AGREE, || {
            let named: Vec<_> = self.all_awake().map(|node| self.known_master_of(node, slot)).collect();
            match named[0] {
                Some(number) if number != old && named.iter().all(|name| *name == named[0]) => new = number,
                _ => return false,
            }
            role(&self.nodes[new]) == "master"
        });
        self.until_ok();
        new
    }

    /// A replica takes its master's place in good order, and this waits until all know it.
    ///
    /// # Panics
    /// When that does not happen.
    pub fn hand_over_to(&self, replica: usize) {
        until_in_sync(&self.nodes[replica]);
        let id = self.id(replica);
        let mut asked: Option<Instant> = None;
        eventually_blocking("the replica is the master", AGREE, || {
            // A replica gives up after five seconds, in silence.
            if asked.is_none_or(|asked| asked.elapsed() > HAND_OVER) {
                let _is_master_by_now = self.nodes[replica].try_cli(&["CLUSTER", "FAILOVER"]);
                asked = Some(Instant::now());
            }
            self.all_awake().all(|node| {
                let nodes = node.cli(&["CLUSTER", "NODES"]);
                nodes
                    .lines()
                    .any(|line| line.starts_with(&id) && line.contains("master") && line.contains('-'))
                    && role(&self.nodes[replica]) == "master"
            })
        });
    }

    /// Waits until all nodes that are awake serve all slots.
    ///
    /// # Panics
    /// When they do not.
    pub fn until_ok(&self) {
        eventually_blocking("the cluster is well", AGREE, || {
            self.all_awake()
                .all(|node| node.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok"))
        });
    }

    /// The masters of now, by their numbers.
    #[must_use]
    pub fn masters(&self) -> Vec<usize> {
        let numbers = (0..self.nodes.len()).filter(|number| !self.hung[*number]);
        numbers
            .filter(|number| role(&self.nodes[*number]) == "master")
            .collect()
    }

    /// The name by which the nodes know this one.
    #[must_use]
    pub fn id(&self, number: usize) -> String {
        self.nodes[number].cli(&["CLUSTER", "MYID"])
    }

    fn join(&self) {
        let width = usize::from(SLOTS) / MASTERS;
        for (number, node) in self.nodes.iter().enumerate() {
            node.cli(&["CLUSTER", "SET-CONFIG-EPOCH", &(number + 1).to_string()]);
            if number < MASTERS {
                let last = if number + 1 == MASTERS {
                    usize::from(SLOTS) - 1
                } else {
                    (number + 1) * width - 1
                };
                let (first, last) = ((number * width).to_string(), last.to_string());
                node.cli(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]);
            }
            // Each with each: nobody has to wait for gossip.
            for other in &self.nodes[..number] {
                node.cli(&["CLUSTER", "MEET", "127.0.0.1", &other.port().to_string(), &bus(other)]);
            }
        }
        let count = format!("cluster_known_nodes:{}", self.nodes.len());
        eventually_blocking("the nodes know each other", AGREE, || {
            self.nodes.iter().all(|node| {
                let info = node.cli(&["CLUSTER", "INFO"]);
                info.contains(&count) && !node.cli(&["CLUSTER", "NODES"]).contains("handshake")
            })
        });
        for number in MASTERS..self.nodes.len() {
            let master = self.id(number - MASTERS);
            self.nodes[number].cli(&["CLUSTER", "REPLICATE", &master]);
        }
        let replicas = self.nodes.len() - MASTERS;
        eventually_blocking("all know the replicas, which follow their masters", AGREE, || {
            let known = |node: &RedisServer| node.cli(&["CLUSTER", "NODES"]).matches("slave ").count();
            self.nodes.iter().all(|node| known(node) == replicas)
                && self.nodes[MASTERS..]
                    .iter()
                    .all(|node| info(node, "replication", "master_link_status").as_deref() == Some("up"))
        });
        self.until_ok();
    }

    /// The master of a slot, as `node` knows it.
    fn known_master_of(&self, node: &RedisServer, slot: u16) -> Option<usize> {
        let nodes = node.cli(&["CLUSTER", "NODES"]);
        let line = nodes.lines().find(|line| {
            let mut words = line.split(' ');
            let alive = words.nth(2).is_some_and(|flags| !flags.contains("fail"));
            alive && words.skip(5).any(|range| covers(range, slot))
        })?;
        let bus = line.split('@').nth(1)?.split([' ', ',']).next()?;
        self.nodes.iter().position(|node| self::bus(node) == bus)
    }

    /// Whether everybody who is awake knows that node `owner` has this slot.
    pub(crate) fn all_know(&self, slot: u16, owner: usize) -> bool {
        self.all_awake()
            .all(|node| self.known_master_of(node, slot) == Some(owner))
    }

    fn all_awake(&self) -> impl Iterator<Item = &RedisServer> {
        let nodes = self.nodes.iter().zip(&self.hung);
        nodes.filter(|(_, hung)| !**hung).map(|(node, _)| node)
    }

    fn awake(&self) -> &RedisServer {
        self.all_awake().next().expect("a node is awake")
    }
}

/// Whether `first-last` or `slot`, as CLUSTER NODES writes it, has this slot.
fn covers(range: &str, slot: u16) -> bool {
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    // A slot under migration is `[slot->-node]`: no number.
    match (first.parse::<u16>(), last.parse::<u16>()) {
        (Ok(first), Ok(last)) => (first..=last).contains(&slot),
        _ => false,
    }
}

/// The port of a node's bus.
fn bus(node: &RedisServer) -> String {
    (node.port() + 10_000).to_string()
}
