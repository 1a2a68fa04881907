//! What a server is asked as one of several independent ones.

use std::sync::Arc;
use std::time::Duration;

use redis::Value;
use tokio::runtime::Handle;

use super::super::{BoxFuture, Claim, Failure, Leave, Released};
use super::answer::{self, Vote};
use super::lanes::Lane;
use super::script::{RAISE, ScriptCall, VOTE};
use super::{FENCE_COUNTER, LONGEST_TTL, RedisBackend, millis, release};
use crate::Fence;

/// Who is woken by a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::backend) enum Wake {
    Waiters,
    /// The claim never held the lock: waking would only make everybody try at once.
    Nobody,
}

/// What all of several independent servers are asked: put together once.
pub(in crate::backend) struct Question(ScriptCall);

impl Question {
    /// For their votes, where `proposal` may become the claim's fence.
    pub(in crate::backend) fn vote(claim: &Claim, ttl: Duration, proposal: u64) -> Self {
        let call = VOTE
            .keys(3)
            .arg(claim.name())
            .arg(FENCE_COUNTER)
            .arg(LONGEST_TTL)
            .arg(claim.value.text())
            .arg(millis(ttl))
            .arg(proposal);
        Self(call)
    }

    /// To take note of a claim's fence, where it holds the lock.
    pub(in crate::backend) fn raise(claim: &Claim, fence: Fence) -> Self {
        let call = RAISE
            .keys(2)
            .arg(FENCE_COUNTER)
            .arg(claim.name())
            .arg(fence.get())
            .arg(claim.value.text());
        Self(call)
    }

    /// To release it.
    pub(in crate::backend) fn end(claim: &Claim, leave: Leave, wake: Wake) -> Self {
        let call = release(claim.name(), claim.value.text().as_bytes(), leave, wake);
        Self(call)
    }
}

impl RedisBackend {
    /// What this server says to a claim, as one of several independent ones: it keeps the longest ttl in mind.
    pub(in crate::backend) async fn vote(&self, question: &Question, within: Duration) -> Result<Vote, Failure> {
        answer::vote(&self.ask(question, within).await?)
    }

    /// From now on this server gives fences above this one only, if the claim holds the lock there; whether it does.
    pub(in crate::backend) async fn raise(&self, question: &Question, within: Duration) -> Result<bool, Failure> {
        answer::raised(&self.ask(question, within).await?)
    }

    /// Asks this server one of the questions that many are asked.
    async fn ask(&self, question: &Question, within: Duration) -> Result<Value, Failure> {
        // One server has all keys.
        self.servers.run("", &question.0, None, within).await
    }

    /// Keeps in mind that a key may stay for so long.
    pub(in crate::backend) async fn note_ttl(&self, ttl: Duration, within: Duration) -> Result<(), Failure> {
        let call = RAISE.keys(1).arg(LONGEST_TTL).arg(millis(ttl));
        self.servers.run(LONGEST_TTL, &call, None, within).await.map(drop)
    }

    pub(in crate::backend) async fn end(&self, question: &Question, within: Duration) -> Result<Released, Failure> {
        answer::released(&self.ask(question, within).await?)
    }

    /// The connection of the caller's own runtime; where there is none, one is opened from `runtime` for later.
    pub(in crate::backend) fn lane(&self, runtime: &Handle) -> Option<Lane> {
        self.lanes.as_ref()?.here(runtime)
    }

    /// As [`lane`](Self::lane), for who only wants one that there is.
    pub(in crate::backend) fn open_lane(&self) -> Option<Lane> {
        self.lanes.as_ref()?.open_here()
    }
}

/// Without a limit: whoever waits sets it.
impl Lane {
    pub(in crate::backend) fn vote(self, question: Arc<Question>) -> BoxFuture<'static, Result<Vote, Failure>> {
        Box::pin(async move { answer::vote(&self.ask(&question.0).await?) })
    }

    pub(in crate::backend) fn end(self, question: Arc<Question>) -> BoxFuture<'static, Result<Released, Failure>> {
        Box::pin(async move { answer::released(&self.ask(&question.0).await?) })
    }
}
