//! The steps: who may do what when, and what comes of it.

use super::client::{Client, Phase, Stage};
use super::server::{Answer, Request};
use super::{Lease, Safeguard, World};
use crate::NOW;

/// One step. The number is the claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Move {
    /// Time passes, on all clocks.
    Tick,
    /// The server's clock is fast: the key is gone a little early.
    ExpireEarly,
    /// `acquire::Attempts::attempt`: asks, for the first time or again after an unknown outcome, with the same token.
    Ask(usize),
    /// The request arrives at the server, which runs the script.
    Arrive(usize),
    /// The answer arrives: `Attempts::granted`, `Hold::renewed`, `release::conclude`.
    Hear(usize),
    /// The operation's own time is over (`within`), or its connection broke: the outcome is unknown.
    TimeOut(usize),
    /// A request that nobody waits for arrives after all.
    ArriveLate(usize, Request),
    /// It never arrives.
    Vanish(usize, Request),
    /// The wait is over, or the caller dropped the call: `impl Drop for Attempts`.
    GiveUp(usize),
    /// `renewal::renew`
    Renew(usize),
    /// The last owner ends: `Hold::release`, `release::first_try`. Also after the deadline: a lease that expired by
    /// the clock is released too. And again, until there is an answer: `release::keep_trying`, `release::clear`.
    Release(usize),
}

impl Lease {
    pub(super) fn possible(&self, world: &World, moves: &mut Vec<Move>) {
        moves.push(Move::Tick);
        if world.server.may_expire() {
            moves.push(Move::ExpireEarly);
        }
        for (claim, client) in world.clients.iter().enumerate() {
            if claim > 0 && world.clients[claim - 1] == *client && world.server.key.is_none_or(|key| key.owner != claim)
            {
                // Its twin may do the same.
                continue;
            }
            self.moves_of(claim, client, moves);
        }
    }

    fn moves_of(&self, claim: usize, client: &Client, moves: &mut Vec<Move>) {
        match client.call.map(|call| call.stage) {
            Some(Stage::Sent) => moves.extend([Move::Arrive(claim), Move::TimeOut(claim)]),
            Some(Stage::Answered(_)) => moves.extend([Move::Hear(claim), Move::TimeOut(claim)]),
            None => {}
        }
        let mut late = client.late;
        for request in [Request::Acquire, Request::Renew, Request::Release] {
            if *late.of(request) > 0 {
                moves.extend([Move::ArriveLate(claim, request), Move::Vanish(claim, request)]);
            }
        }
        let waits = client.call.is_some();
        match client.phase {
            Phase::Idle => moves.push(Move::Ask(claim)),
            Phase::Asking { tries } if !waits => {
                if tries < self.tries {
                    moves.push(Move::Ask(claim));
                }
                moves.push(Move::GiveUp(claim));
            }
            Phase::Held { deadline, renewals, .. } => {
                if !waits && renewals < self.renewals && NOW < deadline {
                    moves.push(Move::Renew(claim));
                }
                moves.push(Move::Release(claim));
            }
            // One release at a time, so that there is an end to it.
            Phase::Clearing if !waits && client.late.releases == 0 => moves.push(Move::Release(claim)),
            Phase::Asking { .. } | Phase::Clearing | Phase::Over => {}
        }
    }

    pub(super) fn take(&self, world: &mut World, step: Move) {
        world.seen.forget();
        match step {
            Move::Tick => {
                world.server.tick(self);
                world.clients.iter_mut().for_each(Client::tick);
            }
            Move::ExpireEarly => world.server.forget(self),
            Move::Ask(claim) => {
                let client = &mut world.clients[claim];
                let before = match client.phase {
                    Phase::Asking { tries } => tries,
                    _ => 0,
                };
                client.phase = Phase::Asking { tries: before + 1 };
                client.send(Request::Acquire);
            }
            Move::Arrive(claim) => {
                if let Some(call) = world.clients[claim].call {
                    let own = world.server.key.is_some_and(|key| key.owner == claim);
                    let answer = self.arrive(world, claim, call.request);
                    world.seen.refused_by_itself = own && answer == Answer::Busy;
                    if let Some(call) = &mut world.clients[claim].call {
                        call.stage = Stage::Answered(answer);
                    }
                }
            }
            Move::ArriveLate(claim, request) => {
                *world.clients[claim].late.of(request) -= 1;
                self.arrive(world, claim, request);
            }
            Move::Vanish(claim, request) => *world.clients[claim].late.of(request) -= 1,
            Move::Hear(claim) => self.hear(world, claim),
            Move::TimeOut(claim) => self.time_out(world, claim),
            Move::GiveUp(claim) => {
                let client = &mut world.clients[claim];
                client.phase = self.after_asking(client);
            }
            Move::Renew(claim) => {
                let client = &mut world.clients[claim];
                if let Phase::Held { renewals, .. } = &mut client.phase {
                    *renewals += 1;
                }
                client.send(Request::Renew);
            }
            Move::Release(claim) => {
                let client = &mut world.clients[claim];
                // The answer to a renewal that the release overtakes is not looked at (`Hold::renewed`).
                client.stop_waiting();
                client.phase = Phase::Clearing;
                client.send(Request::Release);
            }
        }
    }

    fn arrive(&self, world: &mut World, claim: usize, request: Request) -> Answer {
        let answer = world.server.apply(self, claim, request);
        world.clients[claim].granted |= matches!(answer, Answer::Granted(_));
        answer
    }

    /// No answer in time. An acquire: `Attempts::attempt` remembers that it is unknown. A renewal: the old deadline
    /// stays. A release: it is sent again.
    fn time_out(&self, world: &mut World, claim: usize) {
        let client = &mut world.clients[claim];
        client.stop_waiting();
        if matches!(client.phase, Phase::Asking { .. }) && !self.has(Safeguard::UnknownIsNoGrant) {
            let deadline = Client::deadline(self, NOW);
            client.phase = Phase::Held { deadline, renewals: 0 };
        }
    }

    fn hear(&self, world: &mut World, claim: usize) {
        let client = &mut world.clients[claim];
        let Some(call) = client.call.take() else { return };
        let Stage::Answered(answer) = call.stage else { return };
        match (client.phase, answer) {
            (Phase::Asking { .. }, Answer::Granted(fence)) => {
                let deadline = Client::deadline(self, call.sent);
                if NOW >= deadline {
                    // `Attempts::granted`: too late, so it counts as unknown and is cleared up.
                    client.doubtful = true;
                    return;
                }
                client.phase = Phase::Held { deadline, renewals: 0 };
                world.seen.entered(fence);
            }
            // `LockError::Conflict`; if an earlier answer was lost, `impl Drop for Attempts` clears up.
            (Phase::Asking { .. }, _) => client.phase = self.after_asking(client),
            (Phase::Held { deadline, .. }, Answer::Extended) => {
                // After the deadline the lease is lost, and stays so (`Hold::renewed`).
                if NOW < deadline
                    && let Phase::Held { deadline, .. } = &mut client.phase
                {
                    *deadline = Client::deadline(self, call.sent);
                    world.seen.renewed = true;
                }
            }
            // The answer to a release. And `LostReason::Missing`, `LostReason::Taken` of a hold: nothing is released
            // then, but for late acquires (`release::start`).
            (Phase::Held { .. } | Phase::Clearing, _) => client.phase = self.after_release(client),
            (Phase::Idle | Phase::Over, _) => {}
        }
    }

    /// `impl Drop for Attempts`: without a hold, what may have been granted is deleted.
    fn after_asking(&self, client: &Client) -> Phase {
        if client.doubtful && self.has(Safeguard::ClearUp) {
            Phase::Clearing
        } else {
            Phase::Over
        }
    }

    /// There was a definite answer. A lost acquire may still arrive, so it goes on
    /// (`release::clear_up_late_acquires`).
    fn after_release(&self, client: &Client) -> Phase {
        if client.doubtful && self.has(Safeguard::ClearUpAgain) {
            Phase::Clearing
        } else {
            Phase::Over
        }
    }
}
