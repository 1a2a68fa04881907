//! Locks on a majority of independent servers (Redlock: Redis documentation, "Distributed locks with Redis").
//!
//! Every server is asked at once, each with a small time-out of its own; the answer is there with the majority, and the
//! rest is finished in the background. What is late on one server is cleared up there after the release.
//!
//! # Fences
//!
//! Each server has a counter of its own. A claim proposes a fence with its question for votes: the servers' time, as far
//! as its manager knows it (`proposals`). A server that grants compares: where its counter was below the proposal, it is
//! at the proposal now, and the vote counts; elsewhere the answer says how far the counter is. *One question* is enough
//! where a majority counts: the proposal is the fence. Otherwise there is a second one (`raise`): a fence above all that
//! was heard is written back, until a majority has counted so far where the claim holds the lock at that moment.
//!
//! Fences grow because of this: let A hold first and B after it. A's fence was written on a majority of servers, and a
//! majority has granted B; the two have one server in common. It granted A before it granted B: if it had granted B
//! first, B's lock would have ended there before A's came, by its ttl or by B's own release, and B would not have come to
//! hold after that. Hence:
//!
//! - A one question: its fence was written there in the step that granted A, before B's grant.
//! - A two questions: it was written there while A held the lock there, so also before B's grant. (This is why the second
//!   question compares. Another server may have granted B already when it takes note of A's fence.)
//! - B one question, by the majority that counted: the common server counted for B, because B's proposal is above its
//!   counter, hence above A's fence.
//! - B two questions, by the majority that was heard: the common server has said how far its counter was, which was not
//!   below A's fence, or it counted. B's fence is above both.
//!
//! It rests on leases: while B is still being granted, its lock must not vanish from the common server for other reasons
//! than its ttl (the server's clock jumps, somebody deletes it). That is a tenth of the ttl, or 50 ms; after that B asks the
//! second question, which finds whether a majority still has its lock. A server that restarts without its data in that
//! time does not vote for A before the longest ttl is over (`redis/standing`).
//!
//! A server that forgot its counter learns it from the others before it votes again. Where too few can be asked, or the
//! counter was flushed, the server's own time takes its place: no proposal counts that is ahead of it, so it is above all
//! that were counted there.

mod answers;
mod background;
mod claimed;
mod ending;
mod granting;
mod here;
mod majority;
mod proposals;
mod questions;
mod renewing;
mod tally;
mod wakeup;

use std::any::Any;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use ::url::Url;
use futures_util::future::join_all;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::background::Background;
use self::majority::Majority;
use self::proposals::Proposals;
use self::wakeup::MajorityWakeup;
use super::redis::{Group, RedisBackend, door};
use super::{
    Acquired, Applied, Backend, BoxFuture, Claim, EachRenewed, Failure, FailureKind, Leave, Released, Stored, UnderWay,
    Wakeup,
};
use crate::LockError;
use crate::clock::Clock;
use crate::url::{Settings, invalid};

pub(crate) struct RedlockBackend(Arc<Majority>);

impl RedlockBackend {
    /// Reads the settings; does not connect yet.
    ///
    /// # Errors
    ///
    /// [`LockError::InvalidUrl`] with the part that is wrong, [`LockError::InvalidOption`].
    pub(crate) fn new(urls: &[Url], settings: &Settings) -> Result<Self, LockError> {
        if settings.min_replicas > 0 {
            return Err(LockError::InvalidOption {
                key: None,
                option: "min_replicas",
                reason: "independent servers (redlock) confirm by majority, and replicas of theirs do not count; leave it out"
                    .to_owned(),
            });
        }
        let doors = urls
            .iter()
            .map(|url| door(url, settings))
            .collect::<Result<Vec<_>, _>>()?;
        if doors.len() < 2 {
            return Err(invalid(
                "host",
                "a majority needs several independent servers; name three or five, or use `redis://` for one",
            ));
        }
        let mut addresses: Vec<String> = doors.iter().map(super::redis::Door::address).collect();
        addresses.sort();
        if let Some(pair) = addresses.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(invalid(
                "host and port",
                format!("{} is named twice, and would have two votes", pair[0]),
            ));
        }
        let disturbed = Arc::new(watch::Sender::new(0));
        let group = Group::new(doors, settings.default_ttl);
        let members = group
            .places()
            .map(|place| Arc::new(RedisBackend::at(place, Arc::clone(&disturbed), settings)))
            .collect();
        // Whoever asks may have paused the clock of its runtime; that one counts in a simulation only.
        let clock = if settings.network.is_some() {
            Clock::Paused
        } else {
            Clock::Real
        };
        Ok(Self(Arc::new(Majority {
            group,
            members,
            disturbed,
            clock,
            claims: Mutex::default(),
            proposals: Proposals::new(clock),
            background: Background::default(),
        })))
    }
}

impl Backend for RedlockBackend {
    fn check(&self, within: Duration) -> BoxFuture<'_, Result<(), LockError>> {
        Box::pin(async move {
            let count = self.0.members.len();
            if count.is_multiple_of(2) {
                tracing::warn!(
                    servers = count,
                    "an even number of independent servers survives no more failures than one server less"
                );
            }
            let answers = join_all(self.0.members.iter().map(|member| member.check(within))).await;
            let usable = answers.iter().filter(|answer| answer.is_ok()).count();
            let mut reasons = Vec::new();
            for error in answers.into_iter().filter_map(Result::err) {
                match error {
                    LockError::Unavailable { reason, .. } => reasons.push(reason),
                    // What the user wrote is wrong, whatever the majority says.
                    error => return Err(error),
                }
            }
            if usable + self.0.group.waiting() >= self.0.quorum() {
                for reason in reasons {
                    tracing::warn!(reason, "one of the independent servers cannot be used at present");
                }
                return Ok(());
            }
            Err(LockError::Unavailable {
                key: None,
                reason: format!(
                    "{usable} of {count} independent servers can be used, and a majority is needed: {}",
                    reasons.join("; ")
                ),
                source: None,
            })
        })
    }

    fn acquire<'a>(
        &'a self,
        claim: &'a Claim,
        ttl: Duration,
        within: Duration,
    ) -> BoxFuture<'a, Result<Acquired, Failure>> {
        Box::pin(self.0.grant(claim, ttl, within))
    }

    fn renew<'a>(
        &'a self,
        claims: &'a [(&'a Claim, Duration)],
        within: Duration,
        each: &'a EachRenewed<'a>,
    ) -> BoxFuture<'a, ()> {
        Box::pin(self.0.extend(claims, within, each))
    }

    fn release<'a>(
        &'a self,
        claim: &'a Claim,
        leave: Leave,
        within: Duration,
    ) -> BoxFuture<'a, Result<Released, Failure>> {
        Box::pin(self.0.end(claim, leave, within))
    }

    fn inspect<'a>(&'a self, name: &'a str, within: Duration) -> BoxFuture<'a, Result<Option<Stored>, Failure>> {
        Box::pin(async move {
            let answers = join_all(self.0.members.iter().map(|member| member.inspect(name, within))).await;
            tally::stored(answers, self.0.quorum())
        })
    }

    fn force_release<'a>(&'a self, name: &'a str, within: Duration) -> BoxFuture<'a, Result<bool, Failure>> {
        Box::pin(async move {
            let answers = join_all(self.0.members.iter().map(|member| member.force_release(name, within))).await;
            tally::forced(answers, self.0.quorum())
        })
    }

    fn is_quorum(&self) -> bool {
        true
    }

    fn route(&self) -> u64 {
        Majority::route()
    }

    fn acquire_here(&self, claim: &Claim, ttl: Duration, runtime: &Handle) -> Option<UnderWay<Acquired>> {
        self.0.grant_here(claim, ttl, runtime)
    }

    fn release_here(&self, claim: &Claim, runtime: &Handle) -> Option<UnderWay<Released>> {
        self.0.end_here(claim, runtime)
    }

    fn close(&self) {
        for member in &self.0.members {
            member.close();
        }
    }

    fn disturbances(&self) -> Option<watch::Receiver<u64>> {
        Some(self.0.disturbed.subscribe())
    }

    fn settle<'a>(&'a self, last_call: &'a CancellationToken) -> BoxFuture<'a, ()> {
        self.0.background.close();
        Box::pin(async {
            tokio::select! {
                biased;
                () = self.0.background.wait() => {}
                () = last_call.cancelled() => {
                    self.0.background.last_call();
                    self.0.background.wait().await;
                }
            }
        })
    }

    fn runs_on(&self, runtime: Weak<dyn Any + Send + Sync>) {
        self.0.background.runs_on(runtime);
    }

    fn wakeup(&self, name: &str, runtime: &Handle) -> Box<dyn Wakeup> {
        let wakeups = self
            .0
            .members
            .iter()
            .map(|member| member.wakeup(name, runtime))
            .collect();
        Box::new(MajorityWakeup::new(wakeups, self.0.quorum()))
    }
}

/// Too few servers gave an answer that counts.
fn no_majority(failures: Vec<Failure>, doing: &str) -> Failure {
    let reasons: Vec<String> = failures.iter().map(|failure| failure.reason.clone()).collect();
    let kind = match failures
        .iter()
        .map(|failure| failure.kind)
        .reduce(|one, other| if one == other { one } else { FailureKind::Transient })
    {
        Some(kind) => kind,
        None => FailureKind::Transient,
    };
    // Whatever was granted is taken back by ourselves.
    let applied = if failures.iter().all(|failure| failure.applied == Applied::No) && !failures.is_empty() {
        Applied::No
    } else {
        Applied::Unknown
    };
    Failure {
        kind,
        applied,
        reason: format!("no majority of the independent servers {doing}: {}", reasons.join("; ")),
        source: failures.into_iter().find_map(|failure| failure.source),
    }
}
