//! A majority of three servers, with one order of fences for all of them.
//!
//! A request to a member and its answer are one step, in which the answer may be lost; what takes time is when it
//! arrives, and when the claim decides. Members are alike, so states that differ by their order are one state.

mod claim;
mod member;
mod moves;
pub mod properties;

pub use claim::{Claim, Phase};
pub use member::{Key, Link, Member, Vote};
pub use moves::Move;

use stateright::{Model, Property};

use crate::NOW;

/// How many members make a majority.
pub const QUORUM: usize = 2;

/// How many claims there may be.
pub const MOST: usize = 3;

/// A rule that keeps leases and fences in order, and can be taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Safeguard {
    /// A vote counts up to the claim's proposal, in the step that grants: the proposal is known to whoever is counted.
    VoteCounts,
    /// A member whose counter has come as far as the proposal does not count for it.
    VoteCompares,
    /// Where too few count, a fence above the votes is on a majority before the grant is given out (the script `raise`).
    FenceWriteBack,
    /// Only members where the claim holds the lock at that moment make this majority. Another one may have granted the
    /// next holder's claim before, and never tells that one of the fence.
    RaiseCompares,
    /// A deadline counts from before the first request of the attempt (`acquire::Attempts::attempt`: `sent`).
    DeadlineFromSend,
    /// The deadline keeps away from the servers' by what clocks differ (`hold::deadline`).
    Drift,
    /// A member that has lost its data does not vote before every lease that it knew is over.
    DelayedRestart,
    /// Its fence counter is raised to the others' before it votes again.
    AdmissionRaises,
    /// For that it hears a majority, itself not counted: with three members both others. One alone may not be of the
    /// majority that has the highest fence.
    AdmissionHearsMajority,
    /// A release deletes the claim's own value only (`release.lua`): it goes to all members, also to those that have
    /// refused.
    ReleaseCompares,
    /// A renewal moves the deadline only when a majority has extended.
    RenewalMajority,
}

/// The bounds, and what is taken out.
#[derive(Debug, Clone)]
pub struct Redlock {
    /// How many claims: two rivals, and after one of them a third.
    pub claims: usize,
    /// How long a key lives after it was armed: at most [`NOW`].
    pub ttl: u8,
    /// Time passes. Without it, more claims can be looked at.
    pub has_time: bool,
    /// Members' clocks may be fast. A bound on fences alone can do without: exclusion is what suffers.
    pub has_skew: bool,
    /// Fences are counted. Without them there are fewer states: who holds does not depend on them, because writing back
    /// only takes time, which a claim may also pass between its votes and its decision.
    pub has_fences: bool,
    /// A third vote may be missing in the count of fences, though the member has granted it.
    pub has_unheard_votes: bool,
    /// How often one hold may ask to be renewed.
    pub renewals: u8,
    /// How often a member may restart without its data.
    pub restarts: u8,
    /// A hold gives the key again to members that do not have it.
    pub repopulates: bool,
    /// The members' fence counters at the beginning: earlier holds have left them different.
    pub counters: [u8; 3],
    /// The rule that is taken out.
    pub without: Option<Safeguard>,
}

/// One state of everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct World {
    /// The members. Their clocks differ from the claims' by at most [`SKEW`](crate::SKEW) over a ttl. Each
    /// has what is between it and each claim.
    pub members: [Member; 3],
    /// The claims; those beyond the model's number stay idle.
    pub claims: [Claim; MOST],
    /// Restarts that are left.
    pub restarts: u8,
    /// For the properties alone: nobody in the model reads it.
    pub seen: Seen,
}

/// What an observer outside remembers: the highest fence for good, the rest for one step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seen {
    /// The highest fence that somebody came to hold.
    pub highest: Option<u8>,
    /// Somebody came to hold after somebody else.
    pub handed_over: bool,
    /// Somebody came to hold with a fence that was not above all earlier ones.
    pub fence_not_above: bool,
    /// A confirmed renewal has moved a deadline.
    pub renewed: bool,
    /// A member that had restarted gave a vote that counted.
    pub voted_again: bool,
}

impl Redlock {
    /// Whether the rule is in place.
    #[must_use]
    pub fn has(&self, safeguard: Safeguard) -> bool {
        self.without != Some(safeguard)
    }
}

impl Model for Redlock {
    type State = World;
    type Action = Move;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            members: self.counters.map(Member::new),
            claims: [Claim::default(); MOST],
            restarts: self.restarts,
            seen: Seen::default(),
        }]
    }

    fn actions(&self, world: &World, moves: &mut Vec<Move>) {
        self.possible(world, moves);
    }

    fn next_state(&self, world: &World, step: Move) -> Option<World> {
        let mut next = *world;
        next.seen = Seen {
            highest: world.seen.highest,
            ..Seen::default()
        };
        self.take(&mut next, step);
        next.settle(self);
        let other = next.with_rivals_swapped();
        Some(next.min(other))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all(self)
    }
}

impl World {
    /// Forgets what cannot matter any more, and puts members into order, so that fewer states differ.
    fn settle(&mut self, rules: &Redlock) {
        for (number, claim) in self.claims.iter_mut().enumerate() {
            claim.settle(rules);
            let is_under_way = self.members.iter().any(|member| member.links[number].acquire);
            if !is_under_way && !matches!(claim.phase, Phase::Asking { .. }) {
                claim.proposal = 0;
            }
            for member in &mut self.members {
                let own = member.is_held_by(number);
                let link = &mut member.links[number];
                link.settle(claim.phase);
                // A release that finds another value does nothing, now and later.
                link.release &= own || !rules.has(Safeguard::ReleaseCompares);
            }
        }
        if self.restarts == 0 {
            self.shift_fences();
        }
        let oldest = NOW - rules.ttl;
        for member in &mut self.members {
            if !rules.has_fences {
                member.counter = 0;
            }
            member.restarted = member.restarted.map(|since| since.max(oldest));
        }
        self.members.sort();
    }

    /// Only the order of fences matters, so the lowest one that is left becomes 0. Not while a member may still begin
    /// again with 0: until then the distance matters.
    fn shift_fences(&mut self) {
        let mut fences = self.fences();
        let lowest = fences.iter().map(|fence| **fence).min().unwrap_or_default();
        for fence in &mut fences {
            **fence -= lowest;
        }
        // A proposal that is below all of them stays so: with the lowest it is not above any either.
        for claim in &mut self.claims {
            claim.proposal = claim.proposal.saturating_sub(lowest);
        }
    }

    /// All but the proposals.
    fn fences(&mut self) -> Vec<&mut u8> {
        let mut fences: Vec<&mut u8> = self.seen.highest.iter_mut().collect();
        for member in &mut self.members {
            fences.push(&mut member.counter);
            let votes = member.links.iter_mut().filter_map(|link| link.vote.as_mut());
            fences.extend(votes.filter_map(|vote| match vote {
                Vote::Counted => None,
                Vote::Ahead(counter) => Some(counter),
            }));
        }
        for claim in &mut self.claims {
            if let Phase::Raising { fence, .. } = &mut claim.phase {
                fences.push(fence);
            }
        }
        fences
    }

    /// The highest number that anybody knows of.
    pub(crate) fn highest_fence(&self) -> u8 {
        let mut world = *self;
        let proposals = self.claims.iter().map(|claim| claim.proposal);
        let known = world.fences().into_iter().map(|fence| *fence);
        proposals.chain(known).max().unwrap_or_default()
    }

    /// The first two claims are alike, so a state in which each is the other one is the same.
    fn with_rivals_swapped(&self) -> Self {
        let mut other = *self;
        other.claims.swap(0, 1);
        for member in &mut other.members {
            member.links.swap(0, 1);
            if let Some(key) = &mut member.key
                && key.owner < 2
            {
                key.owner = 1 - key.owner;
            }
        }
        other.members.sort();
        other
    }

    /// For how many members `is_so` holds.
    pub(crate) fn count(&self, is_so: impl Fn(&Member) -> bool) -> usize {
        self.members.iter().filter(|member| is_so(member)).count()
    }
}
