//! One claim on many servers: what is under way for it, and whether it is still wanted.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::super::redis::{Question, RedisBackend, Vote, Wake};
use super::super::{Applied, Claim, Failure, Leave};
use super::background::Background;

/// How long one server has for the answer to a release.
const ANSWER: Duration = Duration::from_secs(1);
/// How long after a release a request is still expected whose answer was lost. TCP gives up on unanswered data after
/// 5 s here (`TCP_USER_TIMEOUT`).
const LATE: Duration = Duration::from_secs(10);

pub(super) struct Claimed {
    pub(super) claim: Claim,
    pub(super) ttl: Duration,
    released: AtomicBool,
    /// Wakes who waits for that.
    on_release: Notify,
    /// The servers where a request may still arrive; each is cleared up once. A std mutex, held for a look.
    doubtful: Mutex<HashSet<usize>>,
    background: Background,
}

impl Claimed {
    pub(super) fn new(claim: Claim, ttl: Duration, background: Background) -> Self {
        Self {
            background,
            claim,
            ttl,
            released: AtomicBool::new(false),
            on_release: Notify::new(),
            doubtful: Mutex::default(),
        }
    }

    /// Nothing that is asked for from here on may stay.
    pub(super) fn release(&self) {
        self.released.store(true, Ordering::Release);
        self.on_release.notify_waiters();
    }

    pub(super) fn is_released(&self) -> bool {
        self.released.load(Ordering::Acquire)
    }

    async fn is_over(&self) {
        let notified = self.on_release.notified();
        // It hears what comes from here on, before its first poll.
        if !self.is_released() {
            notified.await;
        }
    }

    /// Asks one server for its vote. What it grants after the release, or may still grant, is cleared up by `background`,
    /// which outlives whoever waits for the vote.
    pub(super) async fn ask(
        self: Arc<Self>,
        server: usize,
        member: Arc<RedisBackend>,
        question: Arc<Question>,
        within: Duration,
    ) -> Result<Vote, Failure> {
        if self.is_released() {
            return Err(Failure {
                kind: super::FailureKind::Transient,
                applied: Applied::No,
                reason: "the claim is not wanted any more".to_owned(),
                source: None,
            });
        }
        let vote = member.vote(&question, within).await;
        match &vote {
            // The release went out before this, or with it.
            Ok(Vote::Counted { .. } | Vote::Ahead { .. }) if self.is_released() => {
                self.background.clone().spawn(self.clear_up(member, Duration::ZERO));
            }
            Err(failure) if failure.applied == Applied::Unknown && self.is_new_doubt(server) => {
                self.background.clone().spawn(self.clear_up(member, LATE));
            }
            _ => {}
        }
        vote
    }

    fn is_new_doubt(&self, server: usize) -> bool {
        let mut doubtful = self.doubtful.lock().unwrap_or_else(PoisonError::into_inner);
        doubtful.insert(server)
    }

    /// After the release, deletes what may have arrived late: until there was an answer, and so much longer.
    async fn clear_up(self: Arc<Self>, member: Arc<RedisBackend>, longer: Duration) {
        self.is_over().await;
        let question = Question::end(&self.claim, Leave::Nothing, Wake::Nobody);
        let mut over = Instant::now() + self.ttl;
        let mut answered = false;
        let mut pauses = crate::pauses::pauses();
        loop {
            // Before the request: what arrives before the shutdown's last call is cleared up after it.
            let last = self.background.is_last_call();
            let ended = member.end(&question, ANSWER).await;
            if ended.is_ok() && !std::mem::replace(&mut answered, true) {
                over = over.min(Instant::now() + longer);
            }
            if last || Instant::now() >= over {
                return;
            }
            self.background.pause(pauses.next().unwrap_or(ANSWER)).await;
        }
    }
}
