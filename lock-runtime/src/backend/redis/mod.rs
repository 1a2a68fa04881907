//! Locks on Redis: one server, the master that sentinels name, or a cluster.
//!
//! The lock is a string key, set and expired in one step; every operation is one script and one round trip, and
//! compares the claim's value on the server. Scripts are safe to be sent twice.

mod answer;
mod checks;
mod claiming;
mod cluster;
mod connection;
mod door;
mod ear;
mod failure;
mod here;
mod info;
mod lanes;
mod line;
mod member;
mod node;
mod place;
#[cfg(feature = "queue")]
mod queue;
mod script;
mod seats;
mod sentinel;
#[cfg(test)]
#[path = "tests/server.rs"]
mod server;
mod servers;
mod slot;
mod standing;
mod tls;
mod wakeups;

use std::sync::Arc;
use std::time::Duration;

use ::url::Url;
use tokio::runtime::Handle;
use tokio::sync::watch;
use uuid::Uuid;

use self::cluster::Cluster;
use self::lanes::Lanes;
use self::line::GRANTED;
use self::node::Node;
use self::script::{INSPECT, RELEASE, ScriptCall};
use self::seats::InLine;
use self::sentinel::Master;
use self::servers::Servers;
use self::wakeups::{Rouse, Wakeups};
use super::{
    Acquired, Backend, BoxFuture, Claim, EachRenewed, Failure, Grantee, Leave, Released, Stored, Turn, UnderWay, Wakeup,
};
use crate::LockError;
use crate::url::Settings;

pub(super) use self::answer::Vote;
pub(super) use self::door::Door;
pub(super) use self::info::door;
pub(super) use self::lanes::Lane;
pub(super) use self::member::{Question, Wake};
pub(super) use self::place::Place;
pub(super) use self::standing::Group;

/// The counter that fences come from: one for the server, however many locks there are, so that it is never left
/// behind by a lock that is not used any more.
const FENCE_COUNTER: &str = "distributed-lock:fence";
/// The longest ttl that anybody asked for, on a server that is one of several independent ones.
const LONGEST_TTL: &str = "distributed-lock:longest-ttl";
/// Stands before a lock's full name in the name of its wake-up channel.
const CHANNEL: &str = "distributed-lock:free:";

pub(crate) struct RedisBackend {
    servers: Arc<Servers>,
    /// The connections on the callers' runtimes, where there may be some.
    lanes: Option<Lanes>,
    wakeups: Arc<Wakeups>,
    /// Counts what may have lost locks: reconnections, slots that changed hands.
    disturbed: Arc<watch::Sender<u64>>,
    /// The channel on which this manager's claims are told that they have the lock. Its own, so that nobody else is.
    granted: Arc<str>,
    /// So many replicas must have a lease before it counts.
    min_replicas: usize,
}

impl RedisBackend {
    /// One server. Reads the URL; does not connect yet.
    ///
    /// # Errors
    ///
    /// [`LockError::InvalidUrl`] with the part that is wrong.
    pub(crate) fn single(url: &Url, settings: &Settings) -> Result<Self, LockError> {
        let door = info::door(url, settings)?;
        Ok(Self::at(Arc::new(door), Arc::new(watch::Sender::new(0)), settings))
    }

    /// The master `service` of these sentinels.
    ///
    /// # Errors
    ///
    /// As [`single`](Self::single).
    pub(crate) fn sentinel(sentinels: &[Url], service: &str, settings: &Settings) -> Result<Self, LockError> {
        let disturbed = Arc::new(watch::Sender::new(0));
        let place = Master::new(sentinels, service, settings, Arc::clone(&disturbed))?;
        Ok(Self::at(Arc::new(place), disturbed, settings))
    }

    /// The cluster that these nodes belong to.
    ///
    /// # Errors
    ///
    /// As [`single`](Self::single).
    pub(crate) fn cluster(nodes: &[Url], settings: &Settings) -> Result<Self, LockError> {
        let doors = nodes
            .iter()
            .map(|url| info::door(url, settings))
            .collect::<Result<_, _>>()?;
        let disturbed = Arc::new(watch::Sender::new(0));
        let cluster = Cluster::new(doors, Arc::clone(&disturbed));
        Ok(Self {
            wakeups: Arc::new(Wakeups::new(cluster.any_node())),
            servers: Arc::new(Servers::Cluster(cluster)),
            // It would take one for each node.
            lanes: None,
            disturbed,
            granted: granted_channel(),
            min_replicas: settings.min_replicas,
        })
    }

    /// Whatever server is at `place`.
    pub(super) fn at(place: Arc<dyn Place>, disturbed: Arc<watch::Sender<u64>>, settings: &Settings) -> Self {
        let (wakeups, granted) = (Arc::new(Wakeups::new(Arc::clone(&place))), granted_channel());
        // Replicas are waited for on connections of their own.
        let lanes = (settings.lanes && settings.min_replicas == 0)
            .then(|| Lanes::new(&wakeups, &granted, Arc::clone(&disturbed), settings.network.is_none()));
        Self {
            lanes,
            wakeups,
            servers: Arc::new(Servers::One(Node::new(place, &disturbed))),
            disturbed,
            granted,
            min_replicas: settings.min_replicas,
        }
    }
}

fn release(name: &str, value: &[u8], leave: Leave, wake: Wake) -> ScriptCall {
    let channel = match wake {
        Wake::Waiters => channel(name),
        Wake::Nobody => String::new(),
    };
    RELEASE.keys(1).arg(name).arg(value).arg(rest(leave)).arg(channel)
}

/// For how many milliseconds the lock stays taken.
fn rest(leave: Leave) -> u64 {
    match leave {
        Leave::Nothing => 0,
        // Upwards: the lock stays taken at least so long.
        Leave::TakenFor(rest) => millis(rest) + 1,
    }
}

fn granted_channel() -> Arc<str> {
    format!("{GRANTED}{}", Uuid::new_v4()).into()
}

fn channel(name: &str) -> String {
    format!("{CHANNEL}{name}")
}

/// Whole milliseconds, and never 0, which would delete the key.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1)
}

impl Backend for RedisBackend {
    fn check(&self, within: Duration) -> BoxFuture<'_, Result<(), LockError>> {
        Box::pin(checks::check(&self.servers, within))
    }

    fn acquire<'a>(
        &'a self,
        claim: &'a Claim,
        ttl: Duration,
        within: Duration,
    ) -> BoxFuture<'a, Result<Acquired, Failure>> {
        Box::pin(self.claim(claim, ttl, 1, within))
    }

    fn acquire_in_turn<'a>(
        &'a self,
        claim: &'a Claim,
        turn: Turn,
        within: Duration,
    ) -> BoxFuture<'a, Result<Acquired, Failure>> {
        Box::pin(self.claim_in_turn(claim, turn, within))
    }

    fn keeps_places(&self) -> bool {
        self.has_line()
    }

    fn reserves_fences(&self) -> bool {
        true
    }

    fn renew<'a>(
        &'a self,
        claims: &'a [(&'a Claim, Duration)],
        within: Duration,
        each: &'a EachRenewed<'a>,
    ) -> BoxFuture<'a, ()> {
        Box::pin(self.servers.renew(claims, within, each))
    }

    fn release<'a>(
        &'a self,
        claim: &'a Claim,
        leave: Leave,
        within: Duration,
    ) -> BoxFuture<'a, Result<Released, Failure>> {
        // And its place in the line, so that giving up a turn is the same.
        Box::pin(async move {
            let value = claim.value.text();
            self.end_in_turn(claim.name(), value.as_bytes(), leave, within).await
        })
    }

    fn inspect<'a>(&'a self, name: &'a str, within: Duration) -> BoxFuture<'a, Result<Option<Stored>, Failure>> {
        Box::pin(async move {
            let call = INSPECT.keys(1).arg(name);
            answer::stored(&self.servers.run_twice(name, &call, within).await?)
        })
    }

    fn force_release<'a>(&'a self, name: &'a str, within: Duration) -> BoxFuture<'a, Result<bool, Failure>> {
        Box::pin(self.end_whoever_holds(name, within))
    }

    fn route(&self) -> u64 {
        if self.min_replicas > 0 {
            // An acquire has a connection of its own there, which a release does not take.
            return fastrand::u64(1..);
        }
        self.servers.route()
    }

    fn acquire_here(&self, claim: &Claim, ttl: Duration, runtime: &Handle) -> Option<UnderWay<Acquired>> {
        self.claim_here(claim, ttl, runtime)
    }

    fn release_here(&self, claim: &Claim, _runtime: &Handle) -> Option<UnderWay<Released>> {
        self.end_here(claim)
    }

    fn release_after<'a>(
        &'a self,
        route: u64,
        claim: &'a Claim,
        within: Duration,
    ) -> Option<BoxFuture<'a, Result<Released, Failure>>> {
        if route == self.route() {
            return Some(self.release(claim, Leave::Nothing, within));
        }
        self.end_after(route, claim, within)
    }

    fn no_answer(&self, route: u64) {
        self.give_up(route);
    }

    fn close(&self) {
        if let Some(lanes) = &self.lanes {
            lanes.close();
        }
    }

    fn disturbances(&self) -> Option<watch::Receiver<u64>> {
        Some(self.disturbed.subscribe())
    }

    #[cfg(feature = "queue")]
    fn calls(&self, namespace: &str) -> Option<Arc<dyn super::queue::CallStore>> {
        Some(Arc::new(queue::RedisCalls::new(Arc::clone(&self.servers), namespace)))
    }

    #[cfg(feature = "queue")]
    fn bell(&self, name: &str, runtime: &Handle) -> Box<dyn Wakeup> {
        Wakeups::listen(&self.wakeups, channel(name), Rouse::All, runtime)
    }

    fn place(
        &self,
        claim: &Claim,
        near: Option<&Handle>,
        grantee: Arc<dyn Grantee>,
        runtime: &Handle,
    ) -> Box<dyn Wakeup> {
        if self.has_line() {
            let ear = near.and_then(|near| self.lanes.as_ref()?.ear(near, runtime));
            let value = claim.value.text();
            Box::new(InLine::new(&self.wakeups, value, grantee, ear, &self.granted, runtime))
        } else {
            self.wakeup(claim.name(), runtime)
        }
    }

    fn wakeup(&self, name: &str, runtime: &Handle) -> Box<dyn Wakeup> {
        Wakeups::listen(&self.wakeups, channel(name), Rouse::One, runtime)
    }
}
