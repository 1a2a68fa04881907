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
use super::script::{RENEW, ScriptCall, Text};
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
            return self.renew_together(claims, deadline, each).await;
        };
        let mut slots: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
        for (index, (claim, _)) in claims.iter().enumerate() {
            slots.entry(slot(claim.name())).or_default().push(index);
        }
        // Side by side: a node that hangs delays its own only.
        join_all(slots.values().map(|indices| async move {
            let group: Vec<(&Claim, Duration)> = indices.iter().map(|&index| claims[index]).collect();
            let of_all: &EachRenewed<'_> = &|answers| {
                each(&mut answers.filter_map(|(index, answer)| Some((*indices.get(index)?, answer))));
            };
            self.renew_together(&group, deadline, of_all).await;
        }))
        .await;
    }

    async fn renew_together(&self, claims: &[(&Claim, Duration)], deadline: Instant, each: &EachRenewed<'_>) {
        let Some((first, _)) = claims.first() else { return };
        let left = || deadline.saturating_duration_since(Instant::now());
        match self.run_whole(first.name(), &renewal(claims), None, left()).await {
            Ok(Some(reply)) => each(&mut answer::renewed(Ok(reply), claims.len()).enumerate()),
            Err(failure) => each(&mut answer::renewed(Err(failure), claims.len()).enumerate()),
            // Some keys of the slot have moved already: one by one, each is found.
            Ok(None) => {
                let one_by_one = claims.iter().enumerate().map(|(index, claim)| async move {
                    let call = renewal(std::slice::from_ref(claim));
                    let reply = self.run(claim.0.name(), &call, None, left()).await;
                    each(&mut answer::renewed(reply, 1).map(|answer| (index, answer)));
                });
                join_all(one_by_one).await;
            }
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
    let names = || claims.iter().map(|(claim, _)| claim.name());
    let values = || claims.iter().map(|(claim, _)| Text(&claim.value));
    let mut ttls = claims.iter().map(|(_, ttl)| *ttl);
    let first = ttls.next();
    // Mostly it is one for all of them.
    let lengths = if ttls.all(|ttl| Some(ttl) == first) {
        1
    } else {
        claims.len()
    };
    let bytes: usize = names().map(str::len).chain(values().map(|value| value.len())).sum();
    RENEW
        .keys_and_room(claims.len(), claims.len() * 2 + lengths, bytes + lengths * 8)
        .args(names())
        .args(values())
        .args(claims.iter().take(lengths).map(|(_, ttl)| millis(*ttl)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Key;
    use crate::backend;

    fn claim(name: &str, owner: Option<&str>) -> Claim {
        let value = backend::Value {
            token: uuid::Uuid::from_u128(7),
            owner: owner.map(Into::into),
        };
        Claim {
            key: Key::from(name),
            value,
        }
    }

    /// The keys and arguments of the renewal of these.
    fn sent(claims: &[(&Claim, Duration)]) -> Vec<String> {
        let call = renewal(claims);
        let args = call.by_hash().args_iter().skip(2).map(|arg| match arg {
            redis::Arg::Simple(arg) => String::from_utf8_lossy(arg).into_owned(),
            _ => panic!("only simple arguments"),
        });
        args.collect()
    }

    #[test]
    fn a_renewal_has_the_names_then_the_values_then_the_times_or_one_for_all_of_them() {
        let (one, other) = (claim("a", Some("host 1")), claim("b", None));
        let (short, long) = (Duration::from_millis(100), Duration::from_secs(5));
        let (value, bare) = (one.value.text(), other.value.text());
        assert_eq!(
            sent(&[(&one, short), (&other, long)]),
            ["2", "a", "b", &value, &bare, "100", "5000"]
        );
        assert_eq!(
            sent(&[(&one, long), (&other, long)]),
            ["2", "a", "b", &value, &bare, "5000"]
        );
        assert_eq!(sent(&[(&one, long)]), ["1", "a", &value, "5000"]);
    }

    #[test]
    fn a_value_is_as_long_as_it_says() {
        for owner in [None, Some(""), Some("host 1")] {
            let claim = claim("a", owner);
            assert_eq!(Text(&claim.value).len(), claim.value.text().len());
        }
    }
}
