//! The servers of one manager, and its claims on them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use uuid::Uuid;

use super::super::Claim;
use super::super::redis::{Group, RedisBackend};
use super::background::Background;
use super::claimed::Claimed;
use super::ending::UNKNOWN_TTL;
use super::proposals::Proposals;
use crate::clock::Clock;

pub(super) struct Majority {
    pub(super) members: Vec<Arc<RedisBackend>>,
    /// Which of them may vote.
    pub(super) group: Arc<Group>,
    /// Counts reconnections, of all members.
    pub(super) disturbed: Arc<watch::Sender<u64>>,
    /// For what is measured where the caller is.
    pub(super) clock: Clock,
    /// What is asked for, or held, by its value. A std mutex, held for a map operation.
    pub(super) claims: Mutex<HashMap<Uuid, Arc<Claimed>>>,
    /// The fences that claims propose.
    pub(super) proposals: Proposals,
    /// Has what goes on after its caller has the answer.
    pub(super) background: Background,
}

impl Majority {
    /// So many servers decide.
    pub(super) fn quorum(&self) -> usize {
        self.members.len() / 2 + 1
    }

    /// There are several ways.
    pub(super) fn route() -> u64 {
        fastrand::u64(1..)
    }

    /// The state of a claim that is asked for.
    pub(super) fn claimed(&self, claim: Claim, ttl: Duration) -> Arc<Claimed> {
        let mut claims = self.claims();
        let claimed = claims
            .entry(claim.value.token)
            .or_insert_with(|| Arc::new(Claimed::new(claim, ttl, self.background.clone())));
        Arc::clone(claimed)
    }

    /// The state of a claim whose release begins.
    pub(super) fn released(&self, claim: &Claim) -> Arc<Claimed> {
        let claimed = self.claims().remove(&claim.value.token);
        let claimed =
            claimed.unwrap_or_else(|| Arc::new(Claimed::new(claim.clone(), UNKNOWN_TTL, self.background.clone())));
        claimed.release();
        claimed
    }

    pub(super) fn claims(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<Claimed>>> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
