//! Acquire: votes, the fence, and its write-back where they do not know it yet.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::super::redis::{Question, Wake};
use super::super::{Acquired, Applied, Claim, Failure, FailureKind, Leave};
use super::majority::Majority;
use super::no_majority;
use super::questions::Questions;
use super::tally::{Ballot, Grants, Verdict};
use crate::Fence;

/// The bounds of one server's time for its vote: a tenth of the ttl in between, so that a server which hangs costs
/// little of the lease.
const VOTE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// How long one server has for its vote.
pub(super) fn vote_time(ttl: Duration) -> Duration {
    (ttl / 10).clamp(VOTE.0, VOTE.1)
}

impl Majority {
    /// One attempt. The lease counts from before it (the caller's clock); without a majority, everything is taken back.
    pub(super) async fn grant(&self, claim: &Claim, ttl: Duration, within: Duration) -> Result<Acquired, Failure> {
        let began = self.clock.now();
        // A caller who gives up calls `release`, which finds the claim here.
        let claimed = self.claimed(claim.clone(), ttl);
        self.group.ask_for(ttl);
        let vote = vote_time(ttl).min(within);
        let proposal = self.proposals.next();
        let question = Arc::new(Question::vote(claim, ttl, proposal));
        let ask = |(index, member)| Arc::clone(&claimed).ask(index, Arc::clone(member), Arc::clone(&question), vote);
        let mut votes = Questions::new(self.members.iter().enumerate().map(ask), &self.background);
        let mut ballot = Ballot::new(self.members.len(), self.quorum(), proposal);
        // No timer of its own: each vote has one.
        let verdict = loop {
            match votes.next().await {
                Some(vote) => ballot.count(vote),
                None => break ballot.close(),
            }
            if let Some(verdict) = ballot.verdict() {
                break verdict;
            }
        };
        let refused = match verdict {
            Verdict::Granted(grants) => {
                let passed = || self.clock.now().since(began);
                let (fence, is_known) = self.fence(&grants, proposal, passed() <= vote);
                if is_known {
                    return Ok(Acquired::Granted(fence));
                }
                match self.write_back(claim, fence, within.saturating_sub(passed())).await {
                    Ok(()) => return Ok(Acquired::Granted(fence)),
                    Err(failure) => Err(failure),
                }
            }
            Verdict::Held(remaining) => Ok(Acquired::Busy(remaining)),
            Verdict::Split => Err(split()),
            Verdict::Undecided => Err(no_majority(ballot.failures(), "voted")),
        };
        drop(votes);
        // Those who wait for another holder are not woken: this one held nothing.
        drop(self.end_everywhere(claim, Leave::Nothing, Wake::Nobody));
        refused
    }

    /// The fence of a claim, and whether a majority has counted up to it. `is_in_time`: later, it is looked at again
    /// whether a majority still has the lock.
    pub(super) fn fence(&self, grants: &Grants, proposal: u64, is_in_time: bool) -> (Fence, bool) {
        self.learn(grants);
        if grants.is_counted && is_in_time {
            (Fence::from(proposal), true)
        } else {
            (above(Fence::from(grants.highest)), false)
        }
    }

    /// For the next proposals.
    fn learn(&self, grants: &Grants) {
        if grants.is_too_high && !grants.is_counted {
            self.proposals.correct(grants.time, grants.highest);
        } else {
            self.proposals.hear(grants.time);
            self.proposals.heed(grants.highest);
        }
    }

    /// The second question: until a majority has counted up to `fence` where the claim holds the lock.
    pub(super) async fn write_back(&self, claim: &Claim, fence: Fence, within: Duration) -> Result<(), Failure> {
        self.proposals.heed(fence.get());
        let question = Question::raise(claim, fence);
        let raised = self.members.iter().map(|member| member.raise(&question, within));
        let mut answers: FuturesUnordered<_> = raised.collect();
        let (mut missing, mut failures) = (self.quorum(), Vec::new());
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(true) => missing -= 1,
                Ok(false) => failures.push(lost()),
                Err(failure) => failures.push(failure),
            }
            if missing == 0 {
                return Ok(());
            }
        }
        Err(no_majority(failures, "took note of the fence"))
    }
}

fn above(fence: Fence) -> Fence {
    Fence::from(fence.get() + 1)
}

/// The lock is not the claim's any more, or never was.
fn lost() -> Failure {
    Failure {
        kind: FailureKind::Transient,
        applied: Applied::Unknown,
        reason: "a server does not have the lock for this claim".to_owned(),
        source: None,
    }
}

/// Nobody has a majority. The caller tries again after a random time, with another token.
pub(super) fn split() -> Failure {
    Failure {
        kind: FailureKind::Transient,
        applied: Applied::Unknown,
        reason: "the independent servers' votes were split between several callers; try again".to_owned(),
        source: None,
    }
}

#[cfg(test)]
mod tests {
    use super::above;
    use crate::Fence;

    #[test]
    fn a_fence_is_above_all_that_were_counted() {
        assert!(above(Fence::from(7)) > Fence::from(7));
    }
}
