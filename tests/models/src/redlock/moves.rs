//! The steps: who may do what when, and what comes of it.

use super::claim::{Claim, Phase};
use super::{QUORUM, Redlock, Safeguard, Seen, Vote, World};
use crate::{NOW, SKEW};

/// One step. A claim's number comes before a member's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Move {
    /// Time passes, on all clocks.
    Tick,
    /// The member's clock is fast: the key is gone a little early.
    ExpireEarly(usize),
    /// The member was killed and comes back without data.
    Restart(usize),
    /// The member may vote again (delayed restart: its uptime is at least the longest ttl, its run id differs from its
    /// marker's). With a second number, only that one of the others was heard.
    Admit(usize, Option<usize>),
    /// The backend's `acquire`: asks all members at once, and proposes a fence, the second number. It comes from clocks, so
    /// it may be any.
    Ask(usize, u8),
    /// An acquire arrives, and the claim hears of it; perhaps after the majority, the release or the restart.
    Arrive(usize, usize),
    /// The backend's `acquire`: a majority has granted. Of three votes, that of the second number may not have been
    /// heard yet, or never is. Where the majority counts for the proposal, it is the hold's fence.
    Majority(usize, Option<usize>),
    /// The same, but this took so long that the second question looks whether a majority still has the lock.
    LateMajority(usize),
    /// The script `raise` on one member.
    Raise(usize, usize),
    /// A majority has answered. If the deadline is ahead, the fence is the hold's: `Attempts::granted`.
    Raised(usize),
    /// Too few votes or confirmations in time: the backend's `acquire` releases everywhere.
    GiveUp(usize),
    /// `renewal::renew`, the backend's `renew`: a round begins.
    Renew(usize),
    /// The round's request arrives at a member. One that arrives after the round is left out: it extends its own
    /// claim's key, or does nothing.
    Extend(usize, usize),
    /// A majority has extended: `Hold::renewed`.
    Renewed(usize),
    /// No majority in time: the old deadline stays (`Hold::renewed`, failure).
    RoundOver(usize),
    /// The hold gives the key again to a member that does not have it, by `vote.lua`.
    Repopulate(usize, usize),
    /// The last owner ends: `Hold::release`, the backend's `release` to all members.
    Release(usize),
    /// A release arrives.
    ArriveRelease(usize, usize),
}

impl Redlock {
    pub(super) fn possible(&self, world: &World, moves: &mut Vec<Move>) {
        if self.has_time {
            moves.push(Move::Tick);
        }
        for (index, member) in world.members.iter().enumerate() {
            if self.has_skew && member.may_expire(self.ttl) {
                moves.push(Move::ExpireEarly(index));
            }
            if world.restarts > 0 {
                moves.push(Move::Restart(index));
            }
            let skew = if self.has_skew { SKEW } else { 0 };
            let waited = |since| NOW + skew >= since + self.ttl;
            if member
                .restarted
                .is_some_and(|since| waited(since) || !self.has(Safeguard::DelayedRestart))
            {
                if self.has(Safeguard::AdmissionHearsMajority) {
                    moves.push(Move::Admit(index, None));
                } else {
                    let others = (0..world.members.len()).filter(|other| *other != index);
                    moves.extend(others.map(|other| Move::Admit(index, Some(other))));
                }
            }
        }
        for (number, claim) in world.claims.iter().enumerate().take(self.claims) {
            self.moves_of(number, *claim, world, moves);
            let raised = world.count(|member| member.links[number].raised);
            for (index, member) in world.members.iter().enumerate() {
                let link = member.links[number];
                if link.acquire {
                    moves.push(Move::Arrive(number, index));
                }
                if link.release {
                    moves.push(Move::ArriveRelease(number, index));
                }
                match claim.phase {
                    // Not after the majority: it would only make the next fences larger.
                    Phase::Raising { .. } if !link.raised && raised < QUORUM => moves.push(Move::Raise(number, index)),
                    Phase::Held { round: Some(_), .. } if !link.extended && member.is_held_by(number) => {
                        moves.push(Move::Extend(number, index));
                    }
                    _ => {}
                }
                let may_be_given = !link.acquire && member.key.is_none() && member.restarted.is_none();
                if self.repopulates && claim.believes() && may_be_given {
                    moves.push(Move::Repopulate(number, index));
                }
            }
        }
    }

    fn moves_of(&self, number: usize, claim: Claim, world: &World, moves: &mut Vec<Move>) {
        let is_over = |claim: &Claim| claim.phase == Phase::Over;
        let in_time = |sent| NOW < Claim::deadline(self, sent);
        match claim.phase {
            // The third claim is one of the processes again.
            Phase::Idle if number < 2 || world.claims[..2].iter().any(is_over) => {
                let proposals = if self.has_fences {
                    0..=world.highest_fence() + 1
                } else {
                    0..=0
                };
                moves.extend(proposals.map(|proposal| Move::Ask(number, proposal)));
            }
            Phase::Asking { sent } => {
                let votes = world.count(|member| member.links[number].vote.is_some());
                if votes >= QUORUM && in_time(sent) {
                    moves.push(Move::Majority(number, None));
                    if self.has_fences {
                        moves.push(Move::LateMajority(number));
                    }
                }
                if votes > QUORUM && in_time(sent) && self.has_unheard_votes {
                    moves.extend((0..votes).map(|unheard| Move::Majority(number, Some(unheard))));
                }
                moves.push(Move::GiveUp(number));
            }
            Phase::Raising { sent, .. } => {
                let raised = world.count(|member| member.links[number].raised);
                if raised >= QUORUM && in_time(sent) {
                    moves.push(Move::Raised(number));
                }
                moves.push(Move::GiveUp(number));
            }
            Phase::Held { round, renewals, .. } => {
                let is_valid = claim.believes();
                if is_valid && round.is_none() && renewals < self.renewals {
                    moves.push(Move::Renew(number));
                }
                if round.is_some() {
                    let extended = world.count(|member| member.links[number].extended);
                    let enough = if self.has(Safeguard::RenewalMajority) {
                        QUORUM
                    } else {
                        1
                    };
                    if is_valid && extended >= enough {
                        moves.push(Move::Renewed(number));
                    }
                    moves.push(Move::RoundOver(number));
                }
                moves.push(Move::Release(number));
            }
            Phase::Idle | Phase::Over => {}
        }
    }

    pub(super) fn take(&self, world: &mut World, step: Move) {
        match step {
            Move::Tick => {
                world.members.iter_mut().for_each(|member| member.tick(self.ttl));
                world.claims.iter_mut().for_each(Claim::tick);
            }
            Move::ExpireEarly(index) => world.members[index].key = None,
            Move::Restart(index) => {
                world.restarts -= 1;
                world.members[index].restart();
            }
            Move::Admit(index, heard) => {
                // `standing::Member::admit`. One of the others is of the majority that has the highest fence.
                let is_heard = |other: &usize| *other == index || heard.is_none_or(|heard| heard == *other);
                let heard = (0..world.members.len()).filter(is_heard);
                let highest = heard.map(|other| world.members[other].counter).max();
                let member = &mut world.members[index];
                member.restarted = None;
                if self.has(Safeguard::AdmissionRaises) {
                    member.counter = highest.unwrap_or_default();
                }
            }
            Move::Ask(number, proposal) => {
                world.claims[number] = Claim {
                    phase: Phase::Asking { sent: NOW },
                    proposal,
                };
                world
                    .members
                    .iter_mut()
                    .for_each(|member| member.links[number].acquire = true);
            }
            Move::Arrive(number, index) => self.arrive(world, number, index),
            Move::Majority(number, unheard) => self.majority(world, number, unheard, true),
            Move::LateMajority(number) => self.majority(world, number, None, false),
            Move::Raise(number, index) => {
                if let Phase::Raising { fence, .. } = world.claims[number].phase {
                    let member = &mut world.members[index];
                    member.links[number].raised = member.raise(number, fence, self);
                }
            }
            Move::Raised(number) => {
                if let Phase::Raising { sent, fence } = world.claims[number].phase {
                    self.enter(world, number, sent, fence);
                }
            }
            Move::Renew(number) => {
                if let Phase::Held { round, renewals, .. } = &mut world.claims[number].phase {
                    (*round, *renewals) = (Some(NOW), *renewals + 1);
                }
            }
            Move::Extend(number, index) => {
                let member = &mut world.members[index];
                member.links[number].extended = member.extend(number);
            }
            Move::Renewed(number) => {
                if let Phase::Held { deadline, round, .. } = &mut world.claims[number].phase
                    && let Some(sent) = round.take()
                {
                    *deadline = Claim::deadline(self, sent);
                    world.seen.renewed = true;
                }
            }
            Move::RoundOver(number) => {
                if let Phase::Held { round, .. } = &mut world.claims[number].phase {
                    *round = None;
                }
            }
            Move::Repopulate(number, index) => world.members[index].links[number].acquire = true,
            Move::GiveUp(number) | Move::Release(number) => {
                world.claims[number].phase = Phase::Over;
                world
                    .members
                    .iter_mut()
                    .for_each(|member| member.links[number].release = true);
            }
            Move::ArriveRelease(number, index) => {
                let member = &mut world.members[index];
                member.links[number].release = false;
                if member.is_held_by(number) || !self.has(Safeguard::ReleaseCompares) {
                    member.key = None;
                }
            }
        }
    }

    fn majority(&self, world: &mut World, number: usize, unheard: Option<usize>, in_time: bool) {
        if let Some(index) = unheard {
            world.members[index].links[number].vote = None;
        }
        let Claim { phase, proposal } = world.claims[number];
        let Phase::Asking { sent } = phase else {
            return;
        };
        if !self.has_fences {
            return self.enter(world, number, sent, 0);
        }
        let counted = world.count(|member| member.links[number].vote == Some(Vote::Counted));
        if counted >= QUORUM && in_time {
            return self.enter(world, number, sent, proposal);
        }
        let votes = world.members.iter().filter_map(|member| member.links[number].vote);
        let known = votes.map(|vote| match vote {
            Vote::Counted => proposal,
            Vote::Ahead(counter) => counter,
        });
        let fence = known.max().unwrap_or_default() + 1;
        if self.has(Safeguard::FenceWriteBack) {
            world.claims[number].phase = Phase::Raising { sent, fence };
        } else {
            self.enter(world, number, sent, fence);
        }
    }

    fn enter(&self, world: &mut World, number: usize, sent: u8, fence: u8) {
        world.claims[number].phase = Phase::Held {
            deadline: Claim::deadline(self, sent),
            round: None,
            renewals: 0,
        };
        if !self.has_fences {
            return;
        }
        let highest = world.seen.highest;
        world.seen = Seen {
            highest: highest.max(Some(fence)),
            handed_over: highest.is_some(),
            fence_not_above: highest.is_some_and(|highest| fence <= highest),
            ..Seen::default()
        };
    }

    fn arrive(&self, world: &mut World, number: usize, index: usize) {
        let Claim { phase, proposal } = world.claims[number];
        let member = &mut world.members[index];
        member.links[number].acquire = false;
        // One that has not been admitted since it restarted does not vote.
        let granted = match member.restarted {
            None => member.acquire(number, proposal, self),
            Some(_) => None,
        };
        let link = &mut member.links[number];
        match phase {
            Phase::Asking { .. } => {
                link.vote = granted;
                world.seen.voted_again = granted.is_some() && member.is_new;
            }
            // `Claimed::ask`: clears up what comes after the release.
            Phase::Over => link.release = true,
            _ => {}
        }
    }
}
