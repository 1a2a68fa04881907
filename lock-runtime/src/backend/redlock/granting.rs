//! Acquire: votes, the fence, and its write-back.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::super::redis::Wake;
use super::super::{Acquired, Claim, Failure, FailureKind, Leave};
use super::tally::{Ballot, Verdict};
use super::{RedlockBackend, no_majority};
use crate::Fence;

/// The bounds of one server's time for its vote: a tenth of the ttl in between, so that a server which hangs costs
/// little of the lease.
pub(super) const VOTE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

impl RedlockBackend {
    /// One attempt. The lease counts from before it (the caller's clock); without a majority, everything is taken back.
    pub(super) async fn grant(&self, claim: &Claim, ttl: Duration, within: Duration) -> Result<Acquired, Failure> {
        let deadline = Instant::now() + within;
        // A caller who gives up calls `release`, which finds the claim here.
        let claimed = self.claimed(claim, ttl);
        self.group.ask_for(ttl);
        let vote = (ttl / 10).clamp(VOTE.0, VOTE.1).min(within);
        let (sender, mut votes) = mpsc::unbounded_channel();
        for (index, member) in self.members.iter().enumerate() {
            let asked = Arc::clone(&claimed).ask(index, Arc::clone(member), vote);
            let sender = sender.clone();
            // A task for each, which goes on when the majority is there. Nobody may listen any more.
            self.background.spawn(async move { drop(sender.send(asked.await)) });
        }
        drop(sender);
        let mut ballot = Ballot::new(self.members.len(), self.quorum());
        let verdict = loop {
            match timeout_at(deadline, votes.recv()).await {
                Ok(Some(vote)) => ballot.count(vote),
                Ok(None) | Err(_) => break ballot.close(),
            }
            if let Some(verdict) = ballot.verdict() {
                break verdict;
            }
        };
        let refused = match verdict {
            Verdict::Granted(fence) => match self.fence(fence, deadline).await {
                Ok(fence) => return Ok(Acquired::Granted(fence)),
                Err(failure) => Err(failure),
            },
            Verdict::Held(remaining) => Ok(Acquired::Busy(remaining)),
            Verdict::Split => Err(split()),
            Verdict::Undecided => Err(no_majority(ballot.failures(), "voted")),
        };
        // Those who wait for another holder are not woken: this one held nothing.
        self.end_everywhere(claim, Leave::Nothing, Wake::Nobody);
        refused
    }

    /// The fence of this hold: above every earlier one, and known to a majority. `largest` is the largest of the votes.
    ///
    /// Votes may be older than the last holder's fence, so they do not tell it. This question comes after the majority
    /// of votes, hence after the last holder's end, and so its majority meets the one that knows that fence.
    async fn fence(&self, largest: Fence, deadline: Instant) -> Result<Fence, Failure> {
        let fence = above(largest);
        match self.raise(fence, deadline).await? {
            None => Ok(fence),
            Some(larger) => {
                let fence = above(larger);
                // Whatever comes up now is no earlier holder's.
                self.raise(fence, deadline).await.map(|_| fence)
            }
        }
    }

    /// Until a majority has counted up to `fence`. The largest counter that had come so far before.
    async fn raise(&self, fence: Fence, deadline: Instant) -> Result<Option<Fence>, Failure> {
        let within = deadline.saturating_duration_since(Instant::now());
        let (sender, mut answers) = mpsc::unbounded_channel();
        for member in &self.members {
            let (member, sender) = (Arc::clone(member), sender.clone());
            // Nobody may listen any more.
            tokio::spawn(async move { drop(sender.send(member.raise(fence, within).await)) });
        }
        drop(sender);
        let (mut missing, mut largest, mut failures) = (self.quorum(), None, Vec::new());
        while missing > 0 {
            match timeout_at(deadline, answers.recv()).await {
                Ok(Some(Ok(counter))) => {
                    missing -= 1;
                    largest = largest.max(counter);
                }
                Ok(Some(Err(failure))) => failures.push(failure),
                Ok(None) | Err(_) => return Err(no_majority(failures, "took note of the fence")),
            }
        }
        Ok(largest)
    }
}

fn above(fence: Fence) -> Fence {
    Fence::from(fence.get() + 1)
}

/// Nobody has a majority. The caller tries again after a random time, with another token.
fn split() -> Failure {
    Failure {
        kind: FailureKind::Transient,
        applied: super::Applied::Unknown,
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
