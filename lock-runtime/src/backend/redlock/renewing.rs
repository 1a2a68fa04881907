//! Renewal: a majority extends, and servers that lost the key are given it again.

use std::iter::once;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::super::redis::Question;
use super::super::{Backend, Claim, EachRenewed, Renewed};
use super::granting::vote_time;
use super::majority::Majority;
use super::no_majority;
use super::tally::Extension;

impl Majority {
    pub(super) async fn extend(&self, claims: &[(&Claim, Duration)], within: Duration, each: &EachRenewed<'_>) {
        let deadline = Instant::now() + within;
        let owned: Arc<Vec<(Claim, Duration)>> =
            Arc::new(claims.iter().map(|(claim, ttl)| ((*claim).clone(), *ttl)).collect());
        let (sender, mut answers) = mpsc::unbounded_channel();
        for (server, member) in self.members.iter().enumerate() {
            let (member, owned, sender) = (Arc::clone(member), Arc::clone(&owned), sender.clone());
            // A task for each: one that hangs delays nobody.
            tokio::spawn(async move {
                let claims: Vec<_> = owned.iter().map(|(claim, ttl)| (claim, *ttl)).collect();
                // Nobody may listen any more.
                let tell: &EachRenewed<'_> = &|answers| {
                    for (claim, answer) in answers {
                        drop(sender.send((server, claim, answer)));
                    }
                };
                member.renew(&claims, within, tell).await;
            });
        }
        drop(sender);
        let new = || Some(Extension::new(self.members.len(), self.quorum()));
        let mut undecided: Vec<Option<Extension>> = claims.iter().map(|_| new()).collect();
        let mut left = claims.len();
        while left > 0 {
            let Ok(Some((server, index, answer))) = timeout_at(deadline, answers.recv()).await else {
                break;
            };
            let Some(slot) = undecided.get_mut(index) else { continue };
            let verdict = slot.as_mut().and_then(|extension| {
                extension.count(server, answer);
                extension.verdict()
            });
            if let Some(verdict) = verdict
                && let Some(extension) = slot.take()
            {
                left -= 1;
                if verdict == Renewed::Extended {
                    let (claim, ttl) = claims[index];
                    self.populate(claim, ttl, extension.lost_by());
                }
                each(&mut once((index, Ok(verdict))));
            }
        }
        let undecided = undecided
            .into_iter()
            .enumerate()
            .filter_map(|(index, extension)| Some((index, extension?)));
        each(
            &mut undecided
                .map(|(index, extension)| (index, Err(no_majority(extension.into_failures(), "extended the lease")))),
        );
    }

    /// Gives the key again to servers that lost it, while a majority still has it: otherwise the next loss could be one
    /// too many (redsync#149). They vote: one that restarted too recently does not answer at all.
    fn populate(&self, claim: &Claim, ttl: Duration, members: &[usize]) {
        // Its fence does not change any more: it proposes none.
        let question = Arc::new(Question::vote(claim, ttl, 0));
        for (index, member) in members
            .iter()
            .filter_map(|&index| Some((index, self.members.get(index)?)))
        {
            let claimed = self.claims().get(&claim.value.token).cloned();
            // Its release has begun.
            let Some(claimed) = claimed else { return };
            let within = vote_time(ttl);
            let asked = claimed.ask(index, Arc::clone(member), Arc::clone(&question), within);
            // The next renewal finds out what became of it.
            self.background.spawn(async move { drop(asked.await) });
        }
    }
}
