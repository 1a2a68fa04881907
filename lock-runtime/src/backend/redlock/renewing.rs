//! Renewal: a majority extends, and servers that lost the key are given it again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::super::{Backend, Claim, Failure, Renewed};
use super::tally::Extension;
use super::{RedlockBackend, no_majority};

impl RedlockBackend {
    pub(super) async fn extend(
        &self,
        claims: &[(&Claim, Duration)],
        within: Duration,
    ) -> Vec<Result<Renewed, Failure>> {
        let deadline = Instant::now() + within;
        let owned: Arc<Vec<(Claim, Duration)>> =
            Arc::new(claims.iter().map(|(claim, ttl)| ((*claim).clone(), *ttl)).collect());
        let (sender, mut answers) = mpsc::unbounded_channel();
        for (index, member) in self.members.iter().enumerate() {
            let (member, owned, sender) = (Arc::clone(member), Arc::clone(&owned), sender.clone());
            // A task for each: one that hangs delays nobody.
            tokio::spawn(async move {
                let claims: Vec<_> = owned.iter().map(|(claim, ttl)| (claim, *ttl)).collect();
                drop(sender.send((index, member.renew(&claims, within).await)));
            });
        }
        drop(sender);
        let mut extensions: Vec<Extension> = claims
            .iter()
            .map(|_| Extension::new(self.members.len(), self.quorum()))
            .collect();
        while extensions.iter().any(|extension| extension.verdict().is_none()) {
            let Ok(Some((index, answers))) = timeout_at(deadline, answers.recv()).await else {
                break;
            };
            for (extension, answer) in extensions.iter_mut().zip(answers) {
                extension.count(index, answer);
            }
        }
        let renewed = extensions.into_iter().zip(claims);
        renewed
            .map(|(extension, (claim, ttl))| {
                let verdict = extension.verdict();
                if verdict == Some(Renewed::Extended) {
                    self.populate(claim, *ttl, extension.lost_by());
                }
                verdict.ok_or_else(|| no_majority(extension.into_failures(), "extended the lease"))
            })
            .collect()
    }

    /// Gives the key again to servers that lost it, while a majority still has it: otherwise the next loss could be one
    /// too many (redsync#149). They vote: one that restarted too recently does not answer at all.
    fn populate(&self, claim: &Claim, ttl: Duration, members: &[usize]) {
        for member in members.iter().filter_map(|&index| self.members.get(index)) {
            let claimed = self.claims().get(&claim.value).cloned();
            // Its release has begun.
            let Some(claimed) = claimed else { return };
            let asked = claimed.ask(Arc::clone(member), ttl / 10);
            // The next renewal finds out what became of it.
            self.background.spawn(async move { drop(asked.await) });
        }
    }
}
