//! One server or many: which of them an operation goes to.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use redis::Value;
use tokio::time::Instant;

use super::super::{Applied, Claim, EachRenewed, Failure, FailureKind};
use super::cluster::Cluster;
use super::connection::Refusal;
use super::node::{Confirmation, Node};
use super::script::{RENEW, ScriptCall};
use super::slot::{counter, slot};
use super::{FENCE_COUNTER, answer, millis};

pub(super) enum Servers {
    One(Node),
    Cluster(Cluster),
}

impl Servers {
    /// Runs a script where `key`, and every other key of it, is.
    pub(super) async fn run(
        &self,
        key: &str,
        call: &ScriptCall,
        confirmation: Option<&Confirmation>,
        within: Duration,
    ) -> Result<Value, Failure> {
        let deadline = Instant::now() + within;
        Ok(match self {
            Self::One(node) => node.ask(call, confirmation, deadline).await?,
            Self::Cluster(cluster) => cluster.ask(slot(key), call, confirmation, deadline).await?,
        })
    }

    /// As [`run`](Self::run); `None`: the script's keys are on two nodes just now, and nothing was done.
    pub(super) async fn run_whole(
        &self,
        key: &str,
        call: &ScriptCall,
        confirmation: Option<&Confirmation>,
        within: Duration,
    ) -> Result<Option<Value>, Failure> {
        let deadline = Instant::now() + within;
        let answer = match self {
            Self::One(node) => node.ask(call, confirmation, deadline).await,
            Self::Cluster(cluster) => cluster.ask(slot(key), call, confirmation, deadline).await,
        };
        match answer {
            Ok(reply) => Ok(Some(reply)),
            Err(Refusal::TryAgain(_)) => Ok(None),
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// As [`run`](Self::run), and once more when the connection turned out to be dead: for calls whose repetition
    /// changes nothing.
    pub(super) async fn run_twice(&self, key: &str, call: &ScriptCall, within: Duration) -> Result<Value, Failure> {
        match self.run(key, call, None, within / 2).await {
            Err(failure) if failure.kind == FailureKind::Transient && failure.applied != Applied::No => {
                self.run(key, call, None, within / 2).await
            }
            answer => answer,
        }
    }

    /// One script for all claims that are on the same server and, in a cluster, in the same slot.
    pub(super) async fn renew(&self, claims: &[(&Claim, Duration)], within: Duration, each: &EachRenewed<'_>) {
        let deadline = Instant::now() + within;
        let Self::Cluster(_) = self else {
            let all: Vec<usize> = (0..claims.len()).collect();
            return self.renew_together(claims, &all, deadline, each).await;
        };
        let mut slots: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
        for (index, (claim, _)) in claims.iter().enumerate() {
            slots.entry(slot(claim.name())).or_default().push(index);
        }
        // Side by side: a node that hangs delays its own only.
        join_all(
            slots
                .values()
                .map(|indices| self.renew_together(claims, indices, deadline, each)),
        )
        .await;
    }

    async fn renew_together(
        &self,
        claims: &[(&Claim, Duration)],
        indices: &[usize],
        deadline: Instant,
        each: &EachRenewed<'_>,
    ) {
        let group: Vec<(&Claim, Duration)> = indices.iter().map(|&index| claims[index]).collect();
        let Some((first, _)) = group.first() else { return };
        let left = || deadline.saturating_duration_since(Instant::now());
        let answers = match self.run_whole(first.name(), &renewal(&group), None, left()).await {
            Ok(Some(reply)) => answer::renewed(Ok(reply), group.len()),
            Err(failure) => answer::renewed(Err(failure), group.len()),
            // Some keys of the slot have moved already: one by one, each is found.
            Ok(None) => {
                let one_by_one = group.iter().map(|claim| async move {
                    let call = renewal(std::slice::from_ref(claim));
                    answer::renewed(self.run(claim.0.name(), &call, None, left()).await, 1)
                });
                join_all(one_by_one).await.into_iter().flatten().collect()
            }
        };
        for (&index, answer) in indices.iter().zip(answers) {
            each(index, answer);
        }
    }

    /// The fence counter for the lock `name`.
    pub(super) fn counter(&self, name: &str) -> Cow<'static, str> {
        match self {
            Self::One(_) => Cow::Borrowed(FENCE_COUNTER),
            Self::Cluster(_) => Cow::Owned(counter(slot(name))),
        }
    }

    pub(super) fn route(&self) -> u64 {
        match self {
            Self::One(node) => node.commands.number(),
            // Another node may have the slot by the next time.
            Self::Cluster(_) => fastrand::u64(1..),
        }
    }
}

fn renewal(claims: &[(&Claim, Duration)]) -> ScriptCall {
    let mut call = RENEW.keys(claims.len());
    for (claim, _) in claims {
        call = call.arg(claim.name());
    }
    for (claim, _) in claims {
        call = call.arg(claim.value.text());
    }
    for (_, ttl) in claims {
        call = call.arg(millis(*ttl));
    }
    call
}
