//! A cluster: which node has which slot, and what to do when that has changed.
//!
//! The client library's own cluster client is not used: it re-sends commands late (measured with redis 1.8.1: one call,
//! applied five times), and stays with a node that hangs. Here each node has a connection as a single server has, and
//! each operation its own deadline.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::{Value, cmd};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::super::{Applied, BoxFuture, Failure, FailureKind};
use super::connection::Refusal;
use super::door::Door;
use super::node::{Confirmation, Node};
use super::place::Place;
use super::script::ScriptCall;
use super::slot::SLOTS;

/// How long one node has to say which slots are where.
const MAP: Duration = Duration::from_millis(500);
/// The bounds of the pause before an operation is tried again that was not done, in milliseconds.
const PAUSE: (u64, u64) = (5, 40);

pub(super) struct Cluster(Arc<Shared>);

struct Shared {
    seeds: Vec<Door>,
    disturbed: Arc<watch::Sender<u64>>,
    /// A std mutex, held for map operations.
    map: Mutex<Map>,
    /// Held while the map is read from a node, so that many callers ask once. Tokio's, because it is held across
    /// awaits.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Map {
    /// `host:port` of each slot's master; empty before the first answer.
    masters: Vec<Option<Arc<str>>>,
    /// Every node that was used, by `host:port`.
    nodes: HashMap<Arc<str>, (Door, Node)>,
    /// Counts the readings.
    version: u64,
}

impl Cluster {
    pub(super) fn new(seeds: Vec<Door>, disturbed: Arc<watch::Sender<u64>>) -> Self {
        Self(Arc::new(Shared {
            seeds,
            disturbed,
            map: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
        }))
    }

    /// Runs a script where `slot` is. A node that refuses, or is not there, has done nothing: the next one is looked
    /// for until the deadline.
    pub(super) async fn ask(
        &self,
        slot: u16,
        call: &ScriptCall,
        confirmation: Option<&Confirmation>,
        deadline: Instant,
    ) -> Result<Value, Refusal> {
        let mut asked: Option<String> = None;
        let mut moves = 0;
        loop {
            let (node, version) = match timeout_at(deadline, self.0.node_of(slot)).await {
                Ok(Ok(found)) => found,
                Ok(Err(failure)) if failure.kind == FailureKind::Permanent || !can_wait(deadline) => {
                    return Err(failure.into());
                }
                Ok(Err(_)) => {
                    pause(deadline).await;
                    continue;
                }
                Err(_) => return Err(nowhere().into()),
            };
            let answer = match asked.take() {
                None => node.ask(call, confirmation, deadline).await,
                Some(other) => self.0.node(&other)?.ask_early(call, confirmation, deadline).await,
            };
            match answer {
                Err(Refusal::Moved(address)) => {
                    self.0.moved(slot, &address);
                    // The rest of the map is old as well.
                    self.refresh(version);
                    moves += 1;
                    if moves > 1 {
                        // Two nodes that send us to each other agree in a moment.
                        pause(deadline).await;
                    }
                }
                Err(Refusal::Ask(address)) => asked = Some(address),
                // The failover is under way, or the slot has a new master.
                Err(Refusal::Elsewhere(failure)) => {
                    if failure.kind == FailureKind::Permanent || !can_wait(deadline) {
                        self.refresh(version);
                        return Err(Refusal::Elsewhere(failure));
                    }
                    pause(deadline).await;
                    self.0.read_after(version, deadline).await;
                }
                Err(Refusal::Other(failure)) if failure.kind == FailureKind::Transient => {
                    // What became of it is not known, so that the caller decides about the next try; it should find
                    // the new master.
                    self.refresh(version);
                    return Err(Refusal::Other(failure));
                }
                answer => return answer,
            }
        }
    }

    /// Reads the map in the background.
    fn refresh(&self, version: u64) {
        let shared = Arc::clone(&self.0);
        tokio::spawn(async move { shared.read_after(version, Instant::now() + MAP * 4).await });
    }

    /// Every master that is known.
    pub(super) async fn masters(&self, deadline: Instant) -> Result<Vec<(Door, Node)>, Failure> {
        match timeout_at(deadline, self.0.read()).await {
            Ok(read) => read?,
            Err(_) => return Err(nowhere()),
        }
        let map = self.0.map();
        let mut addresses: Vec<_> = map.masters.iter().flatten().collect();
        addresses.sort_unstable();
        addresses.dedup();
        Ok(addresses
            .into_iter()
            .filter_map(|address| map.nodes.get(address).cloned())
            .collect())
    }

    /// For subscriptions: what is published on one node reaches them all.
    pub(super) fn any_node(&self) -> Arc<dyn Place> {
        Arc::new(AnyNode(Arc::clone(&self.0)))
    }
}

struct AnyNode(Arc<Shared>);

impl Place for AnyNode {
    fn door(&self) -> BoxFuture<'_, Result<Door, Failure>> {
        let doors = self.0.doors();
        // A dead one costs a try: the next may find another.
        let door = fastrand::choice(doors).ok_or_else(nowhere);
        Box::pin(std::future::ready(door))
    }
}

impl Shared {
    /// Who has `slot`, and the version of the map that says so.
    async fn node_of(&self, slot: u16) -> Result<(Node, u64), Failure> {
        if let Some(found) = self.map().node_of(slot) {
            return Ok(found);
        }
        self.read().await?;
        self.map().node_of(slot).ok_or_else(|| Failure {
            reason: format!("no node of the Redis Cluster has the slot {slot}; the cluster is down or being set up"),
            ..nowhere()
        })
    }

    fn node(&self, address: &str) -> Result<Node, Failure> {
        let mut map = self.map();
        self.known(&mut map, address).map(|(_, node)| node)
    }

    /// A node by its address, with a connection that is made when it is first used.
    fn known(&self, map: &mut Map, address: &str) -> Result<(Door, Node), Failure> {
        if let Some(known) = map.nodes.get(address) {
            return Ok(known.clone());
        }
        let (host, port) = address
            .rsplit_once(':')
            .and_then(|(host, port)| Some((host, port.parse().ok()?)))
            .ok_or_else(nowhere)?;
        let seed = self.seeds.first().ok_or_else(nowhere)?;
        let door = seed.at(host, port).map_err(super::failure::classify)?;
        let node = Node::new(Arc::new(door.clone()), &self.disturbed);
        map.nodes.insert(Arc::from(address), (door.clone(), node.clone()));
        Ok((door, node))
    }

    /// A node says that another one has the slot.
    fn moved(&self, slot: u16, address: &str) {
        let mut map = self.map();
        if self.known(&mut map, address).is_err() {
            // An address that cannot be read: the whole map is read anew.
            map.masters.clear();
            return;
        }
        if let Some(master) = map.masters.get_mut(usize::from(slot)) {
            *master = Some(Arc::from(address));
        }
    }

    /// Reads the map unless somebody has done so since `version`. That it could not be read shows in the next
    /// operation.
    async fn read_after(&self, version: u64, deadline: Instant) {
        if self.map().version == version
            && let Ok(Err(failure)) = timeout_at(deadline, self.read()).await
        {
            tracing::debug!(
                reason = failure.reason,
                "the slots of the Redis Cluster could not be read"
            );
        }
    }

    /// Asks one node after the other which slots are where, until one answers.
    async fn read(&self) -> Result<(), Failure> {
        let before = self.map().version;
        let _alone = self.reading.lock().await;
        if self.map().version != before {
            return Ok(());
        }
        let mut doors = self.doors();
        // Another one each time: the one that answered last may be cut off from the rest.
        fastrand::shuffle(&mut doors);
        let mut last = nowhere();
        for door in doors {
            let address = door.address();
            let node = self.node(&address)?;
            let asked = node
                .commands
                .command(cmd("CLUSTER").arg("SLOTS"), Instant::now() + MAP)
                .await;
            match asked.map_err(Failure::from).and_then(|reply| masters(&reply, &address)) {
                Ok(masters) => {
                    self.take(masters);
                    return Ok(());
                }
                Err(failure) if failure.kind == FailureKind::Permanent => return Err(failure),
                Err(failure) => {
                    last = Failure {
                        reason: format!("{address}: {}", failure.reason),
                        ..failure
                    }
                }
            }
        }
        Err(last)
    }

    fn take(&self, masters: Vec<Option<Arc<str>>>) {
        let mut map = self.map();
        let changed = !map.masters.is_empty() && map.masters != masters;
        for address in masters.iter().flatten() {
            if self.known(&mut map, address).is_err() {
                tracing::debug!(%address, "a node of the Redis Cluster has an address that cannot be used");
            }
        }
        map.nodes
            .retain(|address, _| masters.iter().flatten().any(|master| master == address));
        map.masters = masters;
        map.version += 1;
        drop(map);
        if changed {
            self.disturbed.send_modify(|count| *count += 1);
        }
    }

    /// The seeds, and every node that is known.
    fn doors(&self) -> Vec<Door> {
        let map = self.map();
        let known = map.nodes.values().map(|(door, _)| door.clone());
        let mut doors: Vec<Door> = self.seeds.iter().cloned().chain(known).collect();
        doors.sort_by_key(Door::address);
        doors.dedup_by_key(|door| door.address());
        doors
    }

    fn map(&self) -> MutexGuard<'_, Map> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Map {
    fn node_of(&self, slot: u16) -> Option<(Node, u64)> {
        let address = self.masters.get(usize::from(slot))?.as_ref()?;
        let (_, node) = self.nodes.get(address)?;
        Some((node.clone(), self.version))
    }
}

/// The answer to CLUSTER SLOTS: for each range its first and last slot and its nodes, the master first.
fn masters(reply: &Value, asked: &str) -> Result<Vec<Option<Arc<str>>>, Failure> {
    let unexpected = || super::answer::unexpected(reply);
    let Value::Array(ranges) = reply else {
        return Err(unexpected());
    };
    let mut masters = vec![None; usize::from(SLOTS)];
    for range in ranges {
        let Value::Array(parts) = range else {
            return Err(unexpected());
        };
        let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = parts.as_slice() else {
            return Err(unexpected());
        };
        let [host, Value::Int(port), ..] = master.as_slice() else {
            return Err(unexpected());
        };
        let host = match host {
            Value::BulkString(host) if !host.is_empty() => String::from_utf8_lossy(host).into_owned(),
            // "The same host as the one that you asked."
            _ => asked.rsplit_once(':').map_or(asked, |(host, _)| host).to_owned(),
        };
        let address: Arc<str> = Arc::from(format!("{host}:{port}"));
        let (Ok(first), Ok(last)) = (usize::try_from(*first), usize::try_from(*last)) else {
            return Err(unexpected());
        };
        for slot in masters.iter_mut().take(last + 1).skip(first) {
            *slot = Some(Arc::clone(&address));
        }
    }
    Ok(masters)
}

fn can_wait(deadline: Instant) -> bool {
    deadline.saturating_duration_since(Instant::now()) > Duration::from_millis(PAUSE.1 * 2)
}

async fn pause(deadline: Instant) {
    let pause = Duration::from_millis(fastrand::u64(PAUSE.0..PAUSE.1));
    sleep_until(deadline.min(Instant::now() + pause)).await;
}

fn nowhere() -> Failure {
    Failure {
        kind: FailureKind::Transient,
        applied: Applied::No,
        reason: "no node of the Redis Cluster answers; are they running, and may this host reach them?".to_owned(),
        source: None,
    }
}
