//! Acquire: one script, and where a slot moves a second one for the fence.

use std::time::Duration;

use super::super::{Acquired, Applied, Claim, Failure, Leave};
use super::node::Confirmation;
use super::script::{ACQUIRE, FENCE, ScriptCall, Text};
use super::{RedisBackend, Wake, answer, millis, release};

impl RedisBackend {
    pub(super) async fn claim(
        &self,
        claim: &Claim,
        ttl: Duration,
        fences: u64,
        within: Duration,
    ) -> Result<Acquired, Failure> {
        let confirmation = (self.min_replicas > 0).then(|| Confirmation {
            replicas: self.min_replicas,
            undo: release(
                claim.name(),
                claim.value.text().as_bytes(),
                Leave::Nothing,
                Wake::Waiters,
            ),
        });
        let counter = self.servers.counter(claim.name());
        let call = acquire(claim, &counter, ttl, fences);
        let started = tokio::time::Instant::now();
        let reply = match self
            .servers
            .run_whole(claim.name(), &call, confirmation.as_ref(), within)
            .await?
        {
            Some(reply) => reply,
            // The slot is on its way to another node, and the lock and the counter are on different ones: first the
            // lock, then its fence. Whoever comes next takes the lock later, and so gets a larger one.
            None => {
                let call = ACQUIRE
                    .keys(1)
                    .arg(claim.name())
                    .arg(claim.value.text())
                    .arg(millis(ttl))
                    .arg(fences);
                let within = within.saturating_sub(started.elapsed());
                self.servers
                    .run(claim.name(), &call, confirmation.as_ref(), within)
                    .await?
            }
        };
        match answer::acquired(&reply)? {
            Some(acquired) => Ok(acquired),
            None => {
                let call = FENCE.keys(1).arg(&*counter).arg(fences);
                let within = within.saturating_sub(started.elapsed());
                let fence = self
                    .servers
                    .run(&counter, &call, None, within)
                    .await
                    .map_err(|failure| Failure {
                        // The lock is taken already.
                        applied: Applied::Unknown,
                        ..failure
                    })?;
                Ok(Acquired::Granted(answer::fence(&fence)?))
            }
        }
    }
}

pub(super) fn acquire(claim: &Claim, counter: &str, ttl: Duration, fences: u64) -> ScriptCall {
    ACQUIRE
        .keys(2)
        .arg(claim.name())
        .arg(counter)
        .arg(Text(&claim.value))
        .arg(millis(ttl))
        .arg(fences)
}
