//! Operations over the connection of the caller's own runtime.

use std::future::Future;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::timeout;

use super::super::{Acquired, Applied, BoxFuture, Claim, Failure, Leave, Released, UnderWay};
use super::RedisBackend;
use super::answer;
use super::claiming::acquire;
use super::failure::no_answer;
use super::script::Text;

impl RedisBackend {
    pub(super) fn claim_here(&self, claim: &Claim, ttl: Duration, runtime: &Handle) -> Option<UnderWay<Acquired>> {
        let lane = self.lanes.as_ref()?.here(runtime)?;
        let call = acquire(claim, &self.servers.counter(claim.name()), ttl, 1);
        let number = lane.number;
        let answer = async move {
            let reply = lane.ask(&call).await?;
            // Never without a fence: this call names the counter.
            answer::acquired(&reply)?.ok_or_else(|| answer::unexpected(&reply))
        };
        Some(under_way(number, answer))
    }

    pub(super) fn end_here(&self, claim: &Claim) -> Option<UnderWay<Released>> {
        let lane = self.lanes.as_ref()?.open_here()?;
        let call = self.ending(claim.name(), Text(&claim.value), Leave::Nothing);
        let number = lane.number;
        let answer = async move { answer::released(&lane.ask(&call).await?) };
        Some(under_way(number, answer))
    }

    /// Over the lane with this number, from the lock thread.
    pub(super) fn end_after<'a>(
        &'a self,
        route: u64,
        claim: &'a Claim,
        within: Duration,
    ) -> Option<BoxFuture<'a, Result<Released, Failure>>> {
        let lane = self.lanes.as_ref()?.numbered(route)?;
        let call = self.ending(claim.name(), Text(&claim.value), Leave::Nothing);
        Some(Box::pin(async move {
            match timeout(within, lane.ask(&call)).await {
                Ok(reply) => answer::released(&reply?),
                Err(_) => Err(no_answer("waiting for an answer of", Applied::Unknown)),
            }
        }))
    }

    /// A lane that gives no answer is used no more.
    pub(in crate::backend) fn give_up(&self, route: u64) {
        if let Some(lane) = self.lanes.as_ref().and_then(|lanes| lanes.numbered(route)) {
            lane.broke();
        }
    }
}

/// Whoever waits for it sets the limit.
fn under_way<T>(route: u64, answer: impl Future<Output = Result<T, Failure>> + Send + 'static) -> UnderWay<T> {
    UnderWay {
        route,
        within: Duration::MAX,
        answer: Box::pin(answer),
    }
}
