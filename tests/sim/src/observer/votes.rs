//! What the servers have granted to which claim, as they know it themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// As many holds one grant leads to at most, where a lease is handed on inside a process: each with the next fence.
const HANDED_ON: u64 = 64;

/// Every grant of every server.
pub(super) struct Votes {
    quorum: usize,
    /// By lock and claim: the servers that granted and have not released, each with its fences.
    grants: BTreeMap<(Vec<u8>, Vec<u8>), Grants>,
    /// Claims that have become holds.
    held: BTreeSet<Vec<u8>>,
}

#[derive(Default)]
struct Grants {
    servers: BTreeMap<usize, Vec<u64>>,
    /// When the last of them was.
    at: Duration,
    /// When each server last granted.
    granted: BTreeMap<usize, Duration>,
    /// When each server was last asked to release.
    released: BTreeMap<usize, Duration>,
}

impl Grants {
    /// Whether a hold with this fence was handed the lease of one with this claim: one server's grant is of several
    /// fences.
    fn is_handed_on(&self, fence: u64) -> bool {
        self.servers.values().flatten().all(|granted| *granted < fence)
    }

    /// A majority's fence is the largest vote, which is its proposal, or one above it.
    fn lead_to(&self, fence: u64) -> bool {
        let largest = self.servers.values().flatten().max();
        largest == Some(&fence) || largest == Some(&(fence - 1))
    }
}

impl Votes {
    pub(super) fn new(quorum: usize) -> Self {
        Self {
            quorum,
            grants: BTreeMap::new(),
            held: BTreeSet::new(),
        }
    }

    pub(super) fn add(&mut self, server: usize, lock: &[u8], claim: &[u8], fence: u64, at: Duration) {
        let grants = self.grants.entry((lock.to_vec(), claim.to_vec())).or_default();
        grants.servers.entry(server).or_default().push(fence);
        grants.granted.insert(server, at);
        grants.at = at;
    }

    /// A server was asked to release the lock for the claim, and had it or not.
    pub(super) fn release(&mut self, server: usize, lock: &[u8], claim: &[u8], found: bool, at: Duration) {
        let grants = self.grants.entry((lock.to_vec(), claim.to_vec())).or_default();
        grants.released.insert(server, at);
        if found {
            grants.servers.remove(&server);
        }
    }

    /// When a server was last asked to release the lock for a claim, if it has granted the lock only after that.
    /// Claims that became holds are none of these: their answers came.
    pub(super) fn came_after_release(&self, server: usize, lock: &[u8], claim: &[u8]) -> Option<Duration> {
        let grants = self.grants.get(&(lock.to_vec(), claim.to_vec()))?;
        let (released, granted) = (grants.released.get(&server)?, grants.granted.get(&server)?);
        (!self.held.contains(claim) && released < granted).then_some(*released)
    }

    /// When a server last granted the lock to the claim.
    pub(super) fn last(&self, lock: &[u8], claim: &[u8]) -> Option<Duration> {
        let grants = self.grants.get(&(lock.to_vec(), claim.to_vec()))?;
        (!grants.granted.is_empty()).then_some(grants.at)
    }

    /// The claim of a new hold: one that enough servers have granted, with this fence; or, of several servers, with
    /// fences below it; or that was a hold's whose lease was handed on. Never one that was released: its process had given it up, whatever is granted to it later.
    /// Of several, the one whose votes lead to just this fence, then the last one.
    pub(super) fn claim(&mut self, key: &str, machine: usize, fence: u64) -> Option<Vec<u8>> {
        let (lock, owner) = (format!("lock:{key}").into_bytes(), format!(" m{machine}").into_bytes());
        // Of several servers, none of the votes that made the majority is above the fence.
        let fits = |grants: &Grants| {
            let counted = |fences: &&Vec<u64>| fences.iter().any(|granted| self.fits(*granted, fence));
            grants.servers.values().filter(counted).count() >= self.quorum
        };
        let found = self
            .grants
            .iter()
            .filter(|((name, claim), grants)| {
                *name == lock
                    && claim.ends_with(&owner)
                    && (!self.held.contains(claim) || (self.quorum == 1 && grants.is_handed_on(fence)))
                    && grants.released.is_empty()
                    && fits(grants)
            })
            .max_by_key(|(_, grants)| (grants.lead_to(fence), grants.at))
            .map(|((_, claim), _)| claim.clone());
        self.held.extend(found.clone());
        found
    }

    fn fits(&self, granted: u64, fence: u64) -> bool {
        let of_one = (granted..granted + HANDED_ON).contains(&fence);
        (self.quorum == 1 && of_one) || (self.quorum > 1 && granted <= fence)
    }
}
