//! The master that sentinels name: found on each new connection, and checked there.
//!
//! The client library finds a master only when it is asked, and never leaves it (redis#1438); a connection that stays
//! with a failed-over master writes to a stale one when it comes back (measured: 40 writes in 10 s).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
const ANSWER: Duration = Duration::from_millis(500);
/// Between two subscriptions to what sentinels say, when one broke.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Sentinels {
    service: String,
    sentinels: Vec<Door>,
    /// The credentials and settings for the master, whatever its address.
    master: Door,
    /// Counts the failovers that sentinels told us of.
    moves: Arc<watch::Sender<u64>>,
    listening: AtomicBool,
}

impl Sentinels {
    /// # Errors
    ///
    /// [`LockError::InvalidUrl`] with the part that is wrong.
    pub(super) fn new(urls: &[Url], service: &str, settings: &Settings) -> Result<Self, LockError> {
        let (mut sentinels, mut master) = (Vec::new(), None);
        for url in urls {
            let (own, masters) = info::sentinel_urls(url)?;
            sentinels.push(info::door(&own, settings)?);
            master = Some(info::door(&masters, settings)?);
        }
        Ok(Self {
            service: service.to_owned(),
            sentinels,
            master: master.ok_or_else(|| crate::url::invalid("host", "there is no sentinel"))?,
            moves: Arc::new(watch::Sender::new(0)),
            listening: AtomicBool::new(false),
        })
    }

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
                    "none of the {} sentinels answered{}",
                    self.sentinels.len(),
                    last.as_ref()
                        .map_or_else(String::new, |failure| format!(": {}", failure.reason))
                ),
                source: last.and_then(|failure| failure.source),
                ..not_now()
            }),
            _ => Err(Failure {
                kind: FailureKind::Permanent,
                reason: format!("the sentinels know no master `{}`", self.service),
                ..not_now()
            }),
        }
    }

    /// Follows what sentinels say, from the first connection on.
    fn listen(&self) {
        if !self.listening.swap(true, Ordering::Relaxed) {
            tokio::spawn(follow(
                self.sentinels.clone(),
                self.service.clone(),
                Arc::downgrade(&self.moves),
            ));
        }
    }
}

impl Place for Sentinels {
    fn door(&self) -> BoxFuture<'_, Result<Door, Failure>> {
        Box::pin(async {
            self.listen();
            let (host, port) = self.master().await?;
            self.master.at(&host, port).map_err(classify)
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
        Some(self.moves.subscribe())
    }
}

/// The address that one sentinel names; `None`: it knows no such master.
async fn ask(sentinel: &Door, service: &str) -> Result<Option<(String, u16)>, Failure> {
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

/// Listens for failovers, to one sentinel after the other, while somebody wants to know.
async fn follow(sentinels: Vec<Door>, service: String, moves: std::sync::Weak<watch::Sender<u64>>) {
    for sentinel in sentinels.iter().cycle() {
        if moves.strong_count() == 0 {
            return;
        }
        if let Ok(Ok(mut connection)) = timeout(ANSWER, sentinel.subscribe()).await
            && let Ok(Ok(())) = timeout(ANSWER, connection.subscribe("+switch-master")).await
        {
            // What happened while nobody listened.
            if !told(&moves) {
                return;
            }
            let mut messages = connection.on_message();
            while let Some(message) = messages.next().await {
                // "<service> <old address> <old port> <new address> <new port>"
                let concerns_us = message
                    .get_payload::<String>()
                    .is_ok_and(|text| text.split(' ').next() == Some(service.as_str()));
                if concerns_us && !told(&moves) {
                    return;
                }
            }
        }
        sleep(PAUSE).await;
    }
}

/// Whether anybody is left to be told.
fn told(moves: &std::sync::Weak<watch::Sender<u64>>) -> bool {
    match moves.upgrade() {
        Some(moves) => {
            moves.send_modify(|count| *count += 1);
            true
        }
        None => false,
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
