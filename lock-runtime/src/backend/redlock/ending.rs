//! Release: everywhere, whoever was believed to have granted.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::super::redis::{Question, RedisBackend, Wake};
use super::super::{Applied, Claim, Failure, Leave, Released};
use super::background::Background;
use super::claimed::Claimed;
use super::questions::Questions;
use super::tally::Release;
use super::{RedlockBackend, no_majority};

/// How long a release is tried whose ttl nobody remembers.
pub(super) const UNKNOWN_TTL: Duration = Duration::from_secs(30);
/// How long one server has for one answer.
const ANSWER: Duration = Duration::from_secs(1);

impl RedlockBackend {
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
        release.close().ok_or_else(|| Failure {
            // Some may have done it, and the others go on to do it.
            applied: Applied::Unknown,
            ..no_majority(release.into_failures(), "answered the release")
        })
    }

    /// The first answer of each server. Where there is none, it is asked again in the background, and all are where
    /// nobody waits for them.
    pub(super) fn end_everywhere(
        &self,
        claim: &Claim,
        leave: Leave,
        wake: Wake,
    ) -> Questions<impl Future<Output = Result<Released, Failure>> + Send + 'static> {
        let ending = Arc::new(Ending {
            claimed: self.released(claim),
            question: Question::end(claim, leave, wake),
            leave,
            wake,
            began: Instant::now(),
            background: self.background.clone(),
        });
        let end = |member| Arc::clone(&ending).on(Arc::clone(member));
        Questions::new(self.members.iter().map(end), &self.background)
    }
}

/// One release, for all servers.
struct Ending {
    claimed: Arc<Claimed>,
    question: Question,
    leave: Leave,
    wake: Wake,
    began: Instant,
    background: Background,
}

impl Ending {
    async fn on(self: Arc<Self>, member: Arc<RedisBackend>) -> Result<Released, Failure> {
        let answer = self.once(&member, &self.question, self.leave).await;
        if answer.is_err() {
            self.background.clone().spawn(self.again(member));
        }
        answer
    }

    /// Until there is an answer or the ttl is over.
    async fn again(self: Arc<Self>, member: Arc<RedisBackend>) {
        let mut pauses = crate::pauses::pauses();
        while self.began.elapsed() < self.claimed.ttl {
            sleep(pauses.next().unwrap_or(ANSWER)).await;
            let leave = match self.leave {
                Leave::Nothing => Leave::Nothing,
                Leave::TakenFor(rest) => match rest.saturating_sub(self.began.elapsed()) {
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
