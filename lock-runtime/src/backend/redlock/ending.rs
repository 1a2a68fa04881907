//! Release: everywhere, whoever was believed to have granted.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, sleep_until};

use super::super::redis::{Question, RedisBackend, Wake};
use super::super::{Applied, Claim, Failure, Leave, Released};
use super::background::Background;
use super::claimed::Claimed;
use super::majority::Majority;
use super::no_majority;
use super::questions::Questions;
use super::tally::Release;
use crate::clock::{Clock, Moment};

/// How long a release is tried whose ttl nobody remembers.
pub(super) const UNKNOWN_TTL: Duration = Duration::from_secs(30);
/// How long one server has for one answer.
const ANSWER: Duration = Duration::from_secs(1);

impl Majority {
    /// Answers with the majority; the rest goes on in the background.
    pub(super) async fn end(&self, claim: &Claim, leave: Leave, within: Duration) -> Result<Released, Failure> {
        let mut over = pin!(sleep_until(Instant::now() + within));
        let mut answers = self.end_everywhere(claim, leave, Wake::Waiters);
        let mut release = Release::new(self.members.len(), self.quorum());
        loop {
            let answer = tokio::select! {
                biased;
                answer = answers.next() => answer,
                () = &mut over => None,
            };
            let Some(answer) = answer else { break };
            release.count(answer);
            if let Some(released) = release.verdict() {
                return Ok(released);
            }
        }
        closed(release)
    }

    /// The first answer of each server. Where there is none, it is asked again in the background, and all are where
    /// nobody waits for them.
    pub(super) fn end_everywhere(
        &self,
        claim: &Claim,
        leave: Leave,
        wake: Wake,
    ) -> Questions<impl Future<Output = Result<Released, Failure>> + Send + 'static> {
        let ending = Arc::new(self.ending(claim, leave, wake));
        let end = |member| Arc::clone(&ending).on(Arc::clone(member));
        Questions::new(self.members.iter().map(end), &self.background)
    }

    /// From here on the claim is released.
    pub(super) fn ending(&self, claim: &Claim, leave: Leave, wake: Wake) -> Ending {
        Ending {
            claimed: self.released(claim),
            question: Arc::new(Question::end(claim, leave, wake)),
            leave,
            wake,
            clock: self.clock,
            began: self.clock.now(),
            background: self.background.clone(),
        }
    }
}

/// With the answers that there are.
pub(super) fn closed(release: Release) -> Result<Released, Failure> {
    release.close().ok_or_else(|| Failure {
        // Some may have done it, and the others go on to do it.
        applied: Applied::Unknown,
        ..no_majority(release.into_failures(), "answered the release")
    })
}

/// One release, for all servers.
pub(super) struct Ending {
    pub(super) claimed: Arc<Claimed>,
    pub(super) question: Arc<Question>,
    leave: Leave,
    wake: Wake,
    clock: Clock,
    began: Moment,
    background: Background,
}

impl Ending {
    pub(super) async fn on(self: Arc<Self>, member: Arc<RedisBackend>) -> Result<Released, Failure> {
        let answer = self.once(&member, &self.question, self.leave).await;
        if answer.is_err() {
            self.background.clone().spawn(self.again(member));
        }
        answer
    }

    /// Over the lane of its caller there was no good answer; `is_behind`: to a vote before it neither. On the lock thread.
    pub(super) async fn failed(self: Arc<Self>, server: usize, member: Arc<RedisBackend>, is_behind: bool) {
        if is_behind {
            self.claimed.doubt(server, &member, &Handle::current());
        }
        self.again(member).await;
    }

    /// Until there is an answer or the ttl is over.
    async fn again(self: Arc<Self>, member: Arc<RedisBackend>) {
        let mut pauses = crate::pauses::pauses();
        while self.passed() < self.claimed.ttl {
            sleep(pauses.next().unwrap_or(ANSWER)).await;
            let leave = match self.leave {
                Leave::Nothing => Leave::Nothing,
                Leave::TakenFor(rest) => match rest.saturating_sub(self.passed()) {
                    Duration::ZERO => Leave::Nothing,
                    rest => Leave::TakenFor(rest),
                },
            };
            let question = Question::end(&self.claimed.claim, leave, self.wake);
            if self.once(&member, &question, leave).await.is_ok() {
                return;
            }
        }
    }

    fn passed(&self) -> Duration {
        self.clock.now().since(self.began)
    }

    async fn once(&self, member: &RedisBackend, question: &Question, leave: Leave) -> Result<Released, Failure> {
        if let Leave::TakenFor(rest) = leave
            && let Err(failure) = member.note_ttl(rest, ANSWER).await
        {
            // It shows in the release, too.
            tracing::debug!(
                reason = failure.reason,
                "how long a lock stays taken could not be noted"
            );
        }
        member.end(question, ANSWER).await
    }
}
