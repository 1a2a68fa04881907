//! The line of those who wait for a lock: kept on the server, so that other processes are served in their order.
//!
//! `lib.lua` says what is stored. A release gives the lock to the first one in line and tells it; whoever finds a lock
//! free that nobody released (it has expired, or a foreign client deleted it) does so too. Somebody who cannot be told
//! finds out by asking again, and a claim that does not ask loses its place, so that nothing has to be cleared up.

use std::borrow::Cow;

use redis::ToRedisArgs;
use tokio::time::Instant;

use super::super::{Acquired, Applied, Claim, Failure, FailureKind, Leave, Released, Turn};
use super::script::{INSPECT, Name, RELEASE, ScriptCall, TURN};
use super::servers::Servers;
use super::slot::{slot, tag_of};
use super::{Arc, CHANNEL, Duration, RedisBackend, Wake, answer, millis, release, rest};

/// The start of the name of a lock's line.
const LINE: &str = "distributed-lock:line:";
/// The start of the name of the channel on which a manager's claims are told that they have the lock.
pub(super) const GRANTED: &str = "distributed-lock:granted:";

impl RedisBackend {
    /// Whether those who wait stand in line. Not with replicas that have to confirm a lease: a release cannot wait for
    /// them.
    pub(super) fn has_line(&self) -> bool {
        self.min_replicas == 0
    }

    pub(super) async fn claim_in_turn(&self, claim: &Claim, turn: Turn, within: Duration) -> Result<Acquired, Failure> {
        let started = Instant::now();
        if self.has_line() {
            let value = claim.value.text();
            // Nobody listens for a claim without a seat, which is to look again then.
            let seat = self.wakeups.seat_of(&value);
            let channel = seat.map_or_else(|| Arc::clone(&self.granted), |seat| seat.channel());
            let call = self
                .with_line(TURN.keys(3), claim.name())
                .arg(value)
                .arg(millis(turn.ttl))
                .arg(turn.fences)
                .arg(millis(turn.first_lease))
                .arg(millis(turn.stay))
                .arg(&*channel)
                .arg(turn.question);
            match self.servers.run_whole(claim.name(), &call, None, within).await {
                Ok(Some(reply)) => return answer::acquired(&reply)?.ok_or_else(|| answer::unexpected(&reply)),
                Ok(None) => {}
                Err(failure) if is_forbidden(&failure) => {}
                Err(failure) => return Err(failure),
            }
        }
        let within = within.saturating_sub(started.elapsed());
        self.claim(claim, turn.ttl, turn.fences, within).await
    }

    /// Ends the hold of whoever stored `value`, and its place in the line.
    pub(super) async fn end_in_turn(
        &self,
        name: &str,
        value: &[u8],
        leave: Leave,
        within: Duration,
    ) -> Result<Released, Failure> {
        let started = Instant::now();
        if self.has_line() {
            let call = self.ending(name, value, leave);
            match self.servers.run_whole(name, &call, None, within).await {
                Ok(Some(reply)) => return answer::released(&reply),
                Ok(None) => {}
                Err(failure) if is_forbidden(&failure) => {}
                Err(failure) => return Err(failure),
            }
        }
        let call = release(name, value, leave, Wake::Waiters);
        let within = within.saturating_sub(started.elapsed());
        answer::released(&self.servers.run(name, &call, None, within).await?)
    }

    /// The release of whoever stored `value`, where there is a line.
    pub(super) fn ending(&self, name: &str, value: impl ToRedisArgs, leave: Leave) -> ScriptCall {
        self.with_line(RELEASE.keys(3), name)
            .arg(value)
            .arg(rest(leave))
            .arg(Name(CHANNEL, name.into()))
    }

    /// Ends the hold of whoever has the lock. Whether there was one.
    pub(super) async fn end_whoever_holds(&self, name: &str, within: Duration) -> Result<bool, Failure> {
        // First who holds it, then that hold only: the release may be sent twice, and must not hit the next one.
        let holder = self
            .servers
            .run_twice(name, &INSPECT.keys(1).arg(name), within / 2)
            .await?;
        let Some(value) = answer::raw_value(&holder)? else {
            return Ok(false);
        };
        let end = || self.end_in_turn(name, value, Leave::Nothing, within / 4);
        let ended = match end().await {
            Err(failure) if failure.kind == FailureKind::Transient && failure.applied != Applied::No => end().await,
            ended => ended,
        };
        // Done, gone in the meantime, or released and taken again: that hold is over.
        ended.map(|_| true)
    }

    /// The keys of scripts that know of the line.
    fn with_line(&self, call: ScriptCall, name: &str) -> ScriptCall {
        let line = self.servers.line(name);
        call.arg(name).arg(&*self.servers.counter(name)).arg(line)
    }
}

impl Servers {
    /// The lock's line, in a cluster in the lock's slot.
    fn line<'a>(&self, name: &'a str) -> Name<'a> {
        let rest = match self {
            Self::One(_) => Cow::Borrowed(name),
            Self::Cluster(_) => Cow::Owned(format!("{{{}}}:{name}", tag_of(slot(name)))),
        };
        Name(LINE, rest)
    }
}

/// The user may lack the permission for the line only. In a cluster, a slot on its way has some keys here and some
/// there: then, too, locks are kept without a line.
fn is_forbidden(failure: &Failure) -> bool {
    failure.kind == FailureKind::Permanent && failure.applied == Applied::No
}

#[cfg(test)]
mod tests;
