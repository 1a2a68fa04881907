//! Release: everywhere, whoever was believed to have granted.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};

use super::super::redis::{RedisBackend, Wake};
use super::super::{Applied, Claim, Failure, Leave, Released};
use super::claimed::Claimed;
use super::tally::Release;
use super::{RedlockBackend, no_majority};

/// How long a release is tried whose ttl nobody remembers.
pub(super) const UNKNOWN_TTL: Duration = Duration::from_secs(30);
/// How long one server has for one answer.
const ANSWER: Duration = Duration::from_secs(1);

impl RedlockBackend {
    /// Answers with the majority; the rest goes on in the background.
    pub(super) async fn end(&self, claim: &Claim, leave: Leave, within: Duration) -> Result<Released, Failure> {
        let deadline = Instant::now() + within;
        let mut answers = self.end_everywhere(claim, leave, Wake::Waiters);
        let mut release = Release::new(self.members.len(), self.quorum());
        for _ in &self.members {
            match timeout_at(deadline, answers.recv()).await {
                Ok(Some(answer)) => release.count(answer),
                Ok(None) | Err(_) => break,
            }
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

    /// The first answer of each server comes through the channel.
    pub(super) fn end_everywhere(
        &self,
        claim: &Claim,
        leave: Leave,
        wake: Wake,
    ) -> mpsc::UnboundedReceiver<Result<Released, Failure>> {
        let claimed = self.released(claim);
        let (sender, answers) = mpsc::unbounded_channel();
        for member in &self.members {
            let ending = end_on(Arc::clone(member), Arc::clone(&claimed), leave, wake, sender.clone());
            self.background.spawn(ending);
        }
        answers
    }
}

/// On one server, until it answers or the ttl is over.
async fn end_on(
    member: Arc<RedisBackend>,
    claimed: Arc<Claimed>,
    leave: Leave,
    wake: Wake,
    first: mpsc::UnboundedSender<Result<Released, Failure>>,
) {
    let mut first = Some(first);
    let started = Instant::now();
    let mut pauses = crate::pauses::pauses();
    loop {
        let leave = match leave {
            Leave::Nothing => Leave::Nothing,
            Leave::TakenFor(rest) => match rest.saturating_sub(started.elapsed()) {
                Duration::ZERO => Leave::Nothing,
                rest => Leave::TakenFor(rest),
            },
        };
        if let Leave::TakenFor(rest) = leave
            && let Err(failure) = member.note_ttl(rest, ANSWER).await
        {
            // It shows in the release, too.
            tracing::debug!(
                reason = failure.reason,
                "how long a lock stays taken could not be noted"
            );
        }
        let answer = member.end(&claimed.claim, leave, wake, ANSWER).await;
        let done = answer.is_ok();
        // Once: who counts them takes each for another server's. Nobody may listen any more.
        if let Some(first) = first.take() {
            drop(first.send(answer));
        }
        if done || started.elapsed() >= claimed.ttl {
            return;
        }
        sleep(pauses.next().unwrap_or(ANSWER)).await;
    }
}
