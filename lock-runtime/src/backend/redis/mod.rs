//! Locks on Redis: one server, the master that sentinels name, or a cluster.
//!
//! The lock is a string key, set and expired in one step; every operation is one script and one round trip, and
//! compares the claim's value on the server. Scripts are safe to be sent twice.

mod answer;
mod checks;
mod cluster;
mod connection;
mod door;
mod failure;
mod info;
mod node;
mod place;
#[cfg(feature = "queue")]
mod queue;
mod script;
mod sentinel;
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

use self::cluster::Cluster;
use self::node::{Confirmation, Node};
use self::script::{ACQUIRE, FENCE, INSPECT, RAISE, RELEASE, ScriptCall};
use self::sentinel::Master;
use self::servers::Servers;
use self::wakeups::{Rouse, Wakeups};
use super::{Acquired, Backend, BoxFuture, Claim, EachRenewed, Failure, Leave, Released, Stored, Wakeup};
use crate::url::Settings;
use crate::{Fence, LockError};

pub(super) use self::answer::Vote;
pub(super) use self::door::Door;
pub(super) use self::info::door;
pub(super) use self::place::Place;
pub(super) use self::standing::Group;

/// The counter that fences come from: one for the server, however many locks there are, so that it is never left
/// behind by a lock that is not used any more.
const FENCE_COUNTER: &str = "distributed-lock:fence";
/// The longest ttl that anybody asked for, on a server that is one of several independent ones.
const LONGEST_TTL: &str = "distributed-lock:longest-ttl";
/// Stands before a lock's full name in the name of its wake-up channel.
const CHANNEL: &str = "distributed-lock:free:";

/// Who is woken by a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wake {
    Waiters,
    /// The claim never held the lock: waking would only make everybody try at once.
    Nobody,
}

pub(crate) struct RedisBackend {
    servers: Arc<Servers>,
    wakeups: Arc<Wakeups>,
    /// Counts what may have lost locks: reconnections, slots that changed hands.
    disturbed: Arc<watch::Sender<u64>>,
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
            disturbed,
            min_replicas: settings.min_replicas,
        })
    }

    /// Whatever server is at `place`.
    pub(super) fn at(place: Arc<dyn Place>, disturbed: Arc<watch::Sender<u64>>, settings: &Settings) -> Self {
        Self {
            wakeups: Arc::new(Wakeups::new(Arc::clone(&place))),
            servers: Arc::new(Servers::One(Node::new(place, &disturbed))),
            disturbed,
            min_replicas: settings.min_replicas,
        }
    }

    /// What this server says to a claim, as one of several independent ones: it keeps the longest ttl in mind.
    pub(super) async fn vote(&self, claim: &Claim, ttl: Duration, within: Duration) -> Result<Vote, Failure> {
        let call = ACQUIRE
            .keys(3)
            .arg(&claim.name)
            .arg(FENCE_COUNTER)
            .arg(LONGEST_TTL)
            .arg(claim.value.text())
            .arg(millis(ttl));
        answer::vote(&self.servers.run(&claim.name, &call, None, within).await?)
    }

    /// From now on this server gives fences above `fence` only. Its counter, when that had come so far before.
    pub(super) async fn raise(&self, fence: Fence, within: Duration) -> Result<Option<Fence>, Failure> {
        let call = RAISE.keys(1).arg(FENCE_COUNTER).arg(fence.get());
        let counter = answer::fence(&self.servers.run(FENCE_COUNTER, &call, None, within).await?)?;
        Ok((counter.get() > 0).then_some(counter))
    }

    /// Keeps in mind that a key may stay for so long.
    pub(super) async fn note_ttl(&self, ttl: Duration, within: Duration) -> Result<(), Failure> {
        let call = RAISE.keys(1).arg(LONGEST_TTL).arg(millis(ttl));
        self.servers.run(LONGEST_TTL, &call, None, within).await.map(drop)
    }

    pub(super) async fn end(
        &self,
        claim: &Claim,
        leave: Leave,
        wake: Wake,
        within: Duration,
    ) -> Result<Released, Failure> {
        let call = release(&claim.name, claim.value.text().as_bytes(), leave, wake);
        answer::released(&self.servers.run(&claim.name, &call, None, within).await?)
    }

    async fn claim(&self, claim: &Claim, ttl: Duration, within: Duration) -> Result<Acquired, Failure> {
        let confirmation = (self.min_replicas > 0).then(|| Confirmation {
            replicas: self.min_replicas,
            undo: release(
                &claim.name,
                claim.value.text().as_bytes(),
                Leave::Nothing,
                Wake::Waiters,
            ),
        });
        let counter = self.servers.counter(&claim.name);
        let call = ACQUIRE
            .keys(2)
            .arg(&claim.name)
            .arg(&*counter)
            .arg(claim.value.text())
            .arg(millis(ttl));
        let started = tokio::time::Instant::now();
        let reply = match self
            .servers
            .run_whole(&claim.name, &call, confirmation.as_ref(), within)
            .await?
        {
            Some(reply) => reply,
            // The slot is on its way to another node, and the lock and the counter are on different ones: first the
            // lock, then its fence. Whoever comes next takes the lock later, and so gets a larger one.
            None => {
                let call = ACQUIRE
                    .keys(1)
                    .arg(&claim.name)
                    .arg(claim.value.text())
                    .arg(millis(ttl));
                let within = within.saturating_sub(started.elapsed());
                self.servers
                    .run(&claim.name, &call, confirmation.as_ref(), within)
                    .await?
            }
        };
        match answer::vote(&reply)? {
            Vote::Granted(fence) => Ok(Acquired::Granted(fence)),
            Vote::Busy { remaining, .. } => Ok(Acquired::Busy(remaining)),
            Vote::WithoutFence => {
                let call = FENCE.keys(1).arg(&*counter);
                let within = within.saturating_sub(started.elapsed());
                let fence = self
                    .servers
                    .run(&counter, &call, None, within)
                    .await
                    .map_err(|failure| Failure {
                        // The lock is taken already.
                        applied: super::Applied::Unknown,
                        ..failure
                    })?;
                Ok(Acquired::Granted(answer::fence(&fence)?))
            }
        }
    }
}

fn release(name: &str, value: &[u8], leave: Leave, wake: Wake) -> ScriptCall {
    let rest = match leave {
        Leave::Nothing => 0,
        // Upwards: the lock stays taken at least so long.
        Leave::TakenFor(rest) => millis(rest) + 1,
    };
    let channel = match wake {
        Wake::Waiters => channel(name),
        Wake::Nobody => String::new(),
    };
    RELEASE.keys(1).arg(name).arg(value).arg(rest).arg(channel)
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
        Box::pin(self.claim(claim, ttl, within))
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
        Box::pin(self.end(claim, leave, Wake::Waiters, within))
    }

    fn inspect<'a>(&'a self, name: &'a str, within: Duration) -> BoxFuture<'a, Result<Option<Stored>, Failure>> {
        Box::pin(async move {
            let call = INSPECT.keys(1).arg(name);
            answer::stored(&self.servers.run_twice(name, &call, within).await?)
        })
    }

    fn force_release<'a>(&'a self, name: &'a str, within: Duration) -> BoxFuture<'a, Result<bool, Failure>> {
        Box::pin(async move {
            // First who holds it, then that hold only: the deletion may be sent twice, and must not hit the next one.
            let holder = self
                .servers
                .run_twice(name, &INSPECT.keys(1).arg(name), within / 2)
                .await?;
            let Some(value) = answer::raw_value(&holder)? else {
                return Ok(false);
            };
            let call = release(name, value, Leave::Nothing, Wake::Waiters);
            // Done, gone in the meantime, or released and taken again: that hold is over.
            answer::released(&self.servers.run_twice(name, &call, within / 2).await?).map(|_| true)
        })
    }

    fn route(&self) -> u64 {
        if self.min_replicas > 0 {
            // An acquire has a connection of its own there, which a release does not take.
            return fastrand::u64(1..);
        }
        self.servers.route()
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

    fn wakeup(&self, name: &str, runtime: &Handle) -> Box<dyn Wakeup> {
        Wakeups::listen(&self.wakeups, channel(name), Rouse::One, runtime)
    }
}
