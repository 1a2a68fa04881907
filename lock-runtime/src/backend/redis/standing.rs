//! Which of several independent servers may vote: not one that has just come up and forgotten its locks, and none twice.
//!
//! A server that restarted without its data would grant what others still hold. So it does not vote until the longest
//! ttl that anybody asked for is over (Redis documentation, "delayed restarts"). Each server keeps a marker that names
//! the incarnation which may vote (its run id), and the longest ttl that it was asked for. An incarnation without its
//! marker waits, unless so many others answer that one of them would know, and none remembers any ttl: then nothing was
//! ever locked here.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use redis::aio::MultiplexedConnection;
use redis::{RedisError, Value, pipe};
use tokio::time::{Instant, timeout};

use super::super::{Applied, BoxFuture, Failure, FailureKind};
use super::answer::text;
use super::door::Door;
use super::failure::classify;
use super::place::Place;
use super::script::RAISE;
use super::{FENCE_COUNTER, LONGEST_TTL, millis};

/// The incarnation that may vote.
const VOTER: &str = "distributed-lock:voter";
/// By how many microseconds a fence counter may be ahead of its server's time (see vote.lua).
const AHEAD_OF_TIME: u64 = 10_000;
/// How long another server has to say what it knows.
const ANSWER: Duration = Duration::from_secs(1);
/// How often a server that may not vote is asked again at most.
const AGAIN: Duration = Duration::from_secs(1);

/// The servers of one manager.
pub(in crate::backend) struct Group {
    doors: Vec<Door>,
    /// The incarnation that each connection leads to. A std mutex, held for a look.
    run_ids: Mutex<Vec<Option<String>>>,
    /// Until when each is not asked again, and why. A std mutex, held for a look.
    barred: Mutex<Vec<Option<(Instant, String)>>>,
    /// The ttl to reckon with where nobody can tell.
    default_ttl: Duration,
    /// The longest ttl that this manager asked for, in milliseconds: it remembers if nobody else does.
    asked: AtomicU64,
}

impl Group {
    pub(in crate::backend) fn new(doors: Vec<Door>, default_ttl: Duration) -> Arc<Self> {
        Arc::new(Self {
            run_ids: Mutex::new(vec![None; doors.len()]),
            barred: Mutex::new(vec![None; doors.len()]),
            doors,
            default_ttl,
            asked: AtomicU64::new(0),
        })
    }

    /// A claim may keep a lock for so long.
    pub(in crate::backend) fn ask_for(&self, ttl: Duration) {
        self.asked.fetch_max(millis(ttl), Ordering::Relaxed);
    }

    fn asked(&self) -> Option<Duration> {
        let asked = self.asked.load(Ordering::Relaxed);
        (asked > 0).then(|| Duration::from_millis(asked))
    }

    /// The members, each as a place for connections.
    pub(in crate::backend) fn places(self: &Arc<Self>) -> impl Iterator<Item = Arc<dyn Place>> {
        (0..self.doors.len()).map(|index| {
            let group = Arc::clone(self);
            Arc::new(Member { group, index }) as Arc<dyn Place>
        })
    }

    /// How many answer, and may not vote yet.
    pub(in crate::backend) fn waiting(&self) -> usize {
        self.barred().iter().flatten().count()
    }

    /// How long a server must have been up that knows of nothing, where `others` answered and the longest ttl that
    /// anybody knows of is `longest`.
    ///
    /// A lock was granted by a majority. Of that majority some may be silent now, and some may have forgotten, though no
    /// more than a minority at a time. If one is left for certain, it is among those who answered; otherwise a longer
    /// ttl than they know of may be in use.
    fn delay(&self, longest: Option<Duration>, others: &[Known]) -> Option<Duration> {
        let servers = self.doors.len();
        let quorum = servers / 2 + 1;
        let silent = servers - 1 - others.len();
        let forgot = 1 + others.iter().filter(|known| !known.remembers).count();
        let longest = if silent + forgot.min(servers - quorum) < quorum {
            longest?
        } else {
            longest.unwrap_or_default().max(self.default_ttl)
        };
        // As long as a lease may be believed: the drift between two clocks comes on top.
        Some(longest + longest / 100 + Duration::from_millis(2))
    }

    fn barred(&self) -> MutexGuard<'_, Vec<Option<(Instant, String)>>> {
        self.barred.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bar(&self, index: usize, time: Duration, reason: String) {
        self.barred()[index] = Some((Instant::now() + time, reason));
    }

    fn run_ids(&self) -> MutexGuard<'_, Vec<Option<String>>> {
        self.run_ids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes who `index` is. Whether another address leads there too.
    fn note(&self, index: usize, run_id: &str) -> Option<String> {
        let mut run_ids = self.run_ids();
        let twin = run_ids
            .iter()
            .enumerate()
            .find(|(other, known)| *other != index && known.as_deref() == Some(run_id));
        match twin {
            Some((other, _)) => Some(self.doors[other].address()),
            None => {
                run_ids[index] = Some(run_id.to_owned());
                None
            }
        }
    }

    /// What the servers other than `index` know; those that do not answer know nothing.
    async fn others(&self, index: usize) -> Vec<Known> {
        let others = self.doors.iter().enumerate().filter(|(other, _)| *other != index);
        let asked = others.map(|(_, door)| async move {
            match timeout(ANSWER, known_by(door)).await {
                Ok(Ok(known)) => Some(known),
                Ok(Err(_)) | Err(_) => None,
            }
        });
        join_all(asked).await.into_iter().flatten().collect()
    }
}

/// What one server remembers.
struct Known {
    /// What the time says, in microseconds.
    time: u64,
    /// It is the incarnation that its marker names: it has forgotten nothing since it votes. One that came back with an
    /// old snapshot has a memory, and forgot all the same.
    remembers: bool,
    longest_ttl: Option<Duration>,
    fence: Option<u64>,
}

async fn known_by(door: &Door) -> Result<Known, Failure> {
    let mut connection = door.open().await?;
    let server = incarnation(&mut connection).await?;
    known(&mut connection, &server.run_id).await.map_err(classify)
}

async fn known(connection: &mut MultiplexedConnection, run_id: &str) -> Result<Known, RedisError> {
    type Facts = (Option<String>, Option<u64>, Option<u64>, (u64, u64));
    let (voter, longest, fence, (seconds, micros)): Facts = pipe()
        .cmd("GET")
        .arg(VOTER)
        .cmd("GET")
        .arg(LONGEST_TTL)
        .cmd("GET")
        .arg(FENCE_COUNTER)
        .cmd("TIME")
        .query_async(connection)
        .await?;
    Ok(Known {
        time: seconds.saturating_mul(1_000_000).saturating_add(micros),
        remembers: voter.as_deref() == Some(run_id),
        longest_ttl: longest.map(Duration::from_millis),
        fence,
    })
}

/// Who a server is.
struct Incarnation {
    run_id: String,
    up: Duration,
}

async fn incarnation(connection: &mut MultiplexedConnection) -> Result<Incarnation, Failure> {
    let asked: Result<Value, RedisError> = redis::cmd("INFO").arg("server").query_async(connection).await;
    let reply = asked.map_err(classify)?;
    let facts = text(&reply).unwrap_or_default();
    let fact = |name: &str| {
        facts
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(|value| value.trim().to_owned())
    };
    let up = fact("uptime_in_seconds").and_then(|seconds| seconds.parse().ok());
    match (fact("run_id"), up) {
        (Some(run_id), Some(seconds)) => Ok(Incarnation {
            run_id,
            // The difference of two times without their fractions: it may be nearly a second too much.
            up: Duration::from_secs(seconds).saturating_sub(Duration::from_secs(1)),
        }),
        _ => Err(Failure {
            kind: FailureKind::Permanent,
            reason: "the server's INFO tells neither its run_id nor how long it is up".to_owned(),
            ..not_now()
        }),
    }
}

struct Member {
    group: Arc<Group>,
    index: usize,
}

impl Member {
    async fn admit(&self, address: &str, connection: &mut MultiplexedConnection) -> Result<(), Failure> {
        self.group.barred()[self.index] = None;
        let server = incarnation(connection).await?;
        if let Some(twin) = self.group.note(self.index, &server.run_id) {
            return Err(Failure {
                kind: FailureKind::Permanent,
                reason: format!("{address} and {twin} lead to one server, which would have two votes"),
                ..not_now()
            });
        }
        let own = known(connection, &server.run_id).await.map_err(classify)?;
        if own.remembers {
            return Ok(());
        }
        let others = self.group.others(self.index).await;
        let known = others.iter().chain([&own]).filter_map(|known| known.longest_ttl);
        let longest = known.chain(self.group.asked()).max();
        if let Some(delay) = self.group.delay(longest, &others)
            && server.up < delay
        {
            let left = delay.saturating_sub(server.up);
            let reason = format!(
                "{address} came up {:?} ago and may have forgotten locks; it votes in {left:?}, when the longest ttl is over, or as soon as enough of the other servers say that there was none",
                server.up
            );
            self.group.bar(self.index, left.min(AGAIN), reason.clone());
            return Err(Failure { reason, ..not_now() });
        }
        // In this order: who finds the marker may rely on the counter. The time counts too: where too few could be asked,
        // it is at least above every proposal that was ever counted here (see vote.lua).
        let fences = others.iter().filter_map(|known| known.fence);
        let fence = fences
            .max()
            .unwrap_or_default()
            .max(own.time.saturating_add(AHEAD_OF_TIME));
        let raised: Result<Value, RedisError> = RAISE
            .keys(1)
            .arg(FENCE_COUNTER)
            .arg(fence)
            .in_full()
            .query_async(connection)
            .await;
        raised.map_err(classify)?;
        // Whoever asks it next takes it for one that remembers.
        if let Some(longest) = longest {
            let noted: Result<(), RedisError> = redis::cmd("SET")
                .arg(LONGEST_TTL)
                .arg(millis(longest))
                .query_async(connection)
                .await;
            noted.map_err(classify)?;
        }
        let marked: Result<(), RedisError> = redis::cmd("SET")
            .arg(VOTER)
            .arg(&server.run_id)
            .query_async(connection)
            .await;
        marked.map_err(classify)
    }
}

impl Place for Member {
    fn door(&self) -> BoxFuture<'_, Result<Door, Failure>> {
        let barred = self.group.barred()[self.index].clone();
        let answer = match barred {
            Some((until, reason)) if Instant::now() < until => Err(Failure { reason, ..not_now() }),
            _ => Ok(self.group.doors[self.index].clone()),
        };
        Box::pin(std::future::ready(answer))
    }

    fn vet<'a>(
        &'a self,
        door: &'a Door,
        connection: &'a mut MultiplexedConnection,
    ) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move { self.admit(&door.address(), connection).await })
    }
}

fn not_now() -> Failure {
    Failure {
        kind: FailureKind::Transient,
        applied: Applied::No,
        reason: String::new(),
        source: None,
    }
}

#[cfg(test)]
#[path = "tests/standing.rs"]
mod tests;
