//! The master that sentinels name: found on each new connection, and checked there.
//!
//! The client library finds a master only when it is asked, and never leaves it (redis#1438); a connection that stays
//! with a failed-over master writes to a stale one when it comes back (measured: 40 writes in 10 s).

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::aio::MultiplexedConnection;
use redis::{Value, cmd};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use url::Url;

use super::super::{Applied, BoxFuture, Failure, FailureKind};
use super::answer::text;
use super::door::Door;
use super::failure::classify;
use super::info;
use super::place::Place;
use crate::LockError;
use crate::url::Settings;

/// How long sentinels have to name the master.
const ANSWER: Duration = Duration::from_secs(1);
/// Between two subscriptions to what sentinels say, when one broke.
const PAUSE: Duration = Duration::from_secs(1);

struct Sentinels {
    service: String,
    sentinels: Vec<Sentinel>,
    /// The credentials and settings for the master, whatever its address.
    master: Door,
    /// Counts the failovers that sentinels told us of.
    moves: Arc<watch::Sender<u64>>,
    /// Told of them too: what the old master had may be gone.
    disturbed: Arc<watch::Sender<u64>>,
    /// The master that the last connection was made to. A std mutex, held for a look.
    current: Mutex<Option<(String, u16)>>,
    listening: AtomicBool,
}

/// One sentinel, with the credentials that it may want: its own, or those of the master.
#[derive(Clone)]
struct Sentinel {
    own: Door,
    as_master: Option<Door>,
}

impl Master {
    /// # Errors
    ///
    /// [`LockError::InvalidUrl`] with the part that is wrong.
    pub(super) fn new(
        urls: &[Url],
        service: &str,
        settings: &Settings,
        disturbed: Arc<watch::Sender<u64>>,
    ) -> Result<Self, LockError> {
        let (mut sentinels, mut master) = (Vec::new(), None);
        for url in urls {
            let (own, masters) = info::sentinel_urls(url)?;
            let as_master = (own.password().is_none() && masters.password().is_some())
                .then(|| info::door(&info::without_database(&masters), settings))
                .transpose()?;
            let own = info::door(&own, settings)?;
            sentinels.push(Sentinel { own, as_master });
            master = Some(info::door(&masters, settings)?);
        }
        Ok(Self(Arc::new(Sentinels {
            service: service.to_owned(),
            sentinels,
            master: master.ok_or_else(|| crate::url::invalid("host", "there is no sentinel"))?,
            moves: Arc::new(watch::Sender::new(0)),
            disturbed,
            current: Mutex::default(),
            listening: AtomicBool::new(false),
        })))
    }
}

impl Sentinels {
    /// What most sentinels say. A stale one, or one that hangs, decides nothing as long as there are others.
    async fn master(&self) -> Result<(String, u16), Failure> {
        let deadline = Instant::now() + ANSWER;
        let mut answers: FuturesUnordered<_> = self
            .sentinels
            .iter()
            .map(|sentinel| ask(sentinel, &self.service))
            .collect();
        let mut votes: HashMap<Option<(String, u16)>, usize> = HashMap::new();
        let mut last = None;
        while let Ok(Some(answer)) = timeout_at(deadline, answers.next()).await {
            match answer {
                Err(failure) => last = Some(failure),
                Ok(answer) => {
                    let count = votes.entry(answer).or_default();
                    *count += 1;
                    if *count > self.sentinels.len() / 2 {
                        break;
                    }
                }
            }
        }
        let known = votes.iter().filter(|(answer, _)| answer.is_some());
        match known.max_by_key(|(_, count)| **count) {
            Some((Some(address), _)) => Ok(address.clone()),
            _ if votes.is_empty() => Err(Failure {
                reason: format!(
                    "none of the sentinels {} answered{}",
                    self.addresses(),
                    last.as_ref()
                        .map_or_else(String::new, |failure| format!(": {}", failure.reason))
                ),
                source: last.and_then(|failure| failure.source),
                ..not_now()
            }),
            _ => Err(Failure {
                kind: FailureKind::Permanent,
                reason: format!("the sentinels {} know no master `{}`", self.addresses(), self.service),
                ..not_now()
            }),
        }
    }

    fn addresses(&self) -> String {
        let addresses: Vec<String> = self.sentinels.iter().map(|sentinel| sentinel.own.address()).collect();
        addresses.join(", ")
    }

    /// Follows what every sentinel says, from the first connection on.
    fn listen(self: &Arc<Self>) {
        if !self.listening.swap(true, Ordering::Relaxed) {
            for sentinel in &self.sentinels {
                tokio::spawn(follow(sentinel.clone(), Arc::downgrade(self)));
            }
        }
    }

    /// Asks again whether the master is who we believe it is.
    async fn look(&self) {
        match self.master().await {
            Ok(master) if self.current().as_ref() != Some(&master) => self.moved(),
            Ok(_) => {}
            Err(failure) => tracing::debug!(
                reason = failure.reason,
                "the sentinels could not be asked for the master"
            ),
        }
    }

    fn moved(&self) {
        // In this order: who is disturbed asks the new master.
        self.moves.send_modify(|count| *count += 1);
        self.disturbed.send_modify(|count| *count += 1);
    }

    fn current(&self) -> MutexGuard<'_, Option<(String, u16)>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The master that the sentinels name, as a place for connections.
pub(super) struct Master(Arc<Sentinels>);

impl Sentinel {
    fn doors(&self) -> impl Iterator<Item = &Door> {
        std::iter::once(&self.own).chain(&self.as_master)
    }
}

impl Place for Master {
    fn door(&self) -> BoxFuture<'_, Result<Door, Failure>> {
        Box::pin(async {
            self.0.listen();
            let (host, port) = self.0.master().await?;
            let door = self.0.master.at(&host, port).map_err(classify)?;
            let before = self.0.current().replace((host.clone(), port));
            if before.is_some_and(|before| before != (host, port)) {
                // Whoever finds out first tells all: other connections still lead to the old one.
                self.0.moved();
            }
            Ok(door)
        })
    }

    fn vet<'a>(
        &'a self,
        door: &'a Door,
        connection: &'a mut MultiplexedConnection,
    ) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let reply = connection.send_packed_command(&cmd("ROLE")).await;
            let role = match reply.map(|reply| reply.extract_error()) {
                Ok(Ok(Value::Array(parts))) => parts.first().and_then(text),
                Ok(Ok(other)) => return Err(super::answer::unexpected(&other)),
                Ok(Err(error)) => return Err(classify(error)),
                Err(error) => return Err(classify(error)),
            };
            match role.as_deref() {
                Some("master") => Ok(()),
                _ => Err(Failure {
                    reason: format!(
                        "the sentinels name {} as the master, and it is a replica; a failover is under way",
                        door.address()
                    ),
                    ..not_now()
                }),
            }
        })
    }

    fn moves(&self) -> Option<watch::Receiver<u64>> {
        Some(self.0.moves.subscribe())
    }
}

/// The address that one sentinel names; `None`: it knows no such master.
async fn ask(sentinel: &Sentinel, service: &str) -> Result<Option<(String, u16)>, Failure> {
    let mut last = not_now();
    for door in sentinel.doors() {
        match ask_at(door, service).await {
            // It wants a password, perhaps the one that the master has.
            Err(failure) if failure.kind == FailureKind::Permanent => last = failure,
            answer => return answer,
        }
    }
    Err(last)
}

async fn ask_at(sentinel: &Door, service: &str) -> Result<Option<(String, u16)>, Failure> {
    let mut connection = sentinel.open().await?;
    let question = cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(service).to_owned();
    let reply = connection.send_packed_command(&question).await.map_err(classify)?;
    match reply.extract_error().map_err(classify)? {
        Value::Nil => Ok(None),
        Value::Array(parts) => {
            let mut parts = parts.iter().filter_map(text);
            match (parts.next(), parts.next().and_then(|port| port.parse().ok())) {
                (Some(host), Some(port)) => Ok(Some((host, port))),
                _ => Ok(None),
            }
        }
        other => Err(super::answer::unexpected(&other)),
    }
}

/// Listens to one sentinel, while somebody wants to know. One that hangs is silent, and the others are heard.
async fn follow(sentinel: Sentinel, sentinels: Weak<Sentinels>) {
    while sentinels.strong_count() > 0 {
        for door in sentinel.doors() {
            if let Ok(Ok(mut connection)) = timeout(ANSWER, door.subscribe()).await
                && let Ok(Ok(())) = timeout(ANSWER, connection.subscribe("+switch-master")).await
            {
                let mut messages = connection.on_message();
                loop {
                    // Also at the start: what happened while nobody listened. Whose failover it was does not matter.
                    match sentinels.upgrade() {
                        Some(sentinels) => sentinels.look().await,
                        None => return,
                    }
                    if messages.next().await.is_none() {
                        break;
                    }
                }
            }
        }
        sleep(PAUSE).await;
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
