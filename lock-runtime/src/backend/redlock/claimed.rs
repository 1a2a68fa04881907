//! One claim on many servers: what is under way for it, and whether it is still wanted.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::super::redis::{Question, RedisBackend, Vote, Wake};
use super::super::{Applied, Claim, Failure, Leave};
use super::answers::Asked;
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
    /// A std mutex, held for a look.
    servers: Mutex<Servers>,
    background: Background,
}

#[derive(Default)]
struct Servers {
    /// Where a request may still arrive; each is cleared up once.
    doubtful: HashSet<usize>,
    /// Those that are not asked yet.
    unasked: Vec<usize>,
    /// Votes that their caller did not wait for, over its lanes.
    late: Vec<Asked<Vote>>,
}

impl Claimed {
    pub(super) fn new(claim: Claim, ttl: Duration, background: Background) -> Self {
        Self {
            background,
            claim,
            ttl,
            released: AtomicBool::new(false),
            on_release: Notify::new(),
            servers: Mutex::default(),
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
        if !self.begins(server) {
            return Err(Failure {
                kind: super::FailureKind::Transient,
                applied: Applied::No,
                reason: "the claim is not wanted any more".to_owned(),
                source: None,
            });
        }
        let vote = member.vote(&question, within).await;
        self.hear(server, &member, &vote, &Handle::current());
        vote
    }

    /// This one is asked a little later.
    pub(super) fn put_off(&self, server: usize) {
        self.servers().unasked.push(server);
    }

    /// After the release: whether a server was never asked, and never will be.
    pub(super) fn was_spared(&self, server: usize) -> bool {
        self.servers().unasked.contains(&server)
    }

    /// Whether a server is to be asked now.
    fn begins(&self, server: usize) -> bool {
        let mut servers = self.servers();
        // Under the mutex: either the release sees that it was asked, or this sees that it is released.
        if self.is_released() {
            return false;
        }
        servers.unasked.retain(|unasked| *unasked != server);
        true
    }

    /// What is to be done behind a vote.
    pub(super) fn hear(
        self: &Arc<Self>,
        server: usize,
        member: &Arc<RedisBackend>,
        vote: &Result<Vote, Failure>,
        runtime: &Handle,
    ) {
        match vote {
            // The release went out before this, or with it.
            Ok(Vote::Counted { .. } | Vote::Ahead { .. }) if self.is_released() => {
                let clear_up = Arc::clone(self).clear_up(Arc::clone(member), Duration::ZERO);
                self.background.spawn_on(clear_up, runtime);
            }
            Err(failure) if failure.applied == Applied::Unknown => self.doubt(server, member, runtime),
            _ => {}
        }
    }

    /// A request may still arrive at this server.
    pub(super) fn doubt(self: &Arc<Self>, server: usize, member: &Arc<RedisBackend>, runtime: &Handle) {
        let is_new = self.servers().doubtful.insert(server);
        if is_new {
            let clear_up = Arc::clone(self).clear_up(Arc::clone(member), LATE);
            self.background.spawn_on(clear_up, runtime);
        }
    }

    /// Nobody waits for this vote any more.
    pub(super) fn leave(&self, vote: Asked<Vote>) {
        self.servers().late.push(vote);
    }

    /// Waits for a vote that was left, if the release has not dealt with it. On the lock thread.
    pub(super) async fn hear_late(self: Arc<Self>, server: usize, member: Arc<RedisBackend>) {
        let Some(late) = self.take_late(|late| late.server == server) else {
            return;
        };
        let vote = answer(late, &member).await;
        self.hear(server, &member, &vote, &Handle::current());
    }

    /// Before the release of one server is sent over this lane: whether a vote is under way there, behind which it comes.
    pub(super) fn is_behind(
        self: &Arc<Self>,
        server: usize,
        member: &Arc<RedisBackend>,
        lane: u64,
        runtime: &Handle,
    ) -> bool {
        let late = self.take_late(|late| late.server == server && late.lane == Some(lane));
        let Some(mut late) = late else { return false };
        match late.answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(vote) => {
                self.hear(server, member, &vote, runtime);
                false
            }
            // Dropped, it cannot be sent after the release: what was sent is before it on the same connection.
            Poll::Pending => true,
        }
    }

    fn take_late(&self, which: impl Fn(&Asked<Vote>) -> bool) -> Option<Asked<Vote>> {
        let late = &mut self.servers().late;
        let index = late.iter().position(which)?;
        Some(late.swap_remove(index))
    }

    fn servers(&self) -> MutexGuard<'_, Servers> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
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

/// Waits for what nobody else waits for any more. Whoever is silent for so long is not asked over that lane again.
pub(super) async fn answer<T>(asked: Asked<T>, member: &RedisBackend) -> Result<T, Failure> {
    if let Ok(answer) = timeout(ANSWER, asked.answer).await {
        return answer;
    }
    if let Some(lane) = asked.lane {
        member.give_up(lane);
    }
    Err(Failure {
        kind: super::FailureKind::Transient,
        applied: Applied::Unknown,
        reason: format!("a server gave no answer within {ANSWER:?}"),
        source: None,
    })
}

#[cfg(test)]
#[path = "tests/claimed.rs"]
mod tests;
