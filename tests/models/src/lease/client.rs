//! A client: what it believes, what it waits for, and what it has sent and forgotten.

use super::server::{Answer, Request};
use super::{Lease, Safeguard};
use crate::{DRIFT, NOW, TTL};

/// One claim on its way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Client {
    /// How far it is.
    pub phase: Phase,
    /// The request whose answer it waits for.
    pub call: Option<Call>,
    /// Its requests that may still arrive, though nobody waits for their answers.
    pub late: Late,
    /// An acquire was not answered, and may arrive after the next release (`Grant::doubtful`, `Attempts::unknown`).
    pub doubtful: bool,
    /// For the properties: the server has granted its claim.
    pub granted: bool,
}

/// How far a claim is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Before its first request.
    #[default]
    Idle,
    /// `acquire::Attempts`
    Asking {
        /// How often it has asked.
        tries: u8,
    },
    /// `hold::State::Held`, or lost by its deadline without having noticed.
    Held {
        /// Valid before this, by its own clock.
        deadline: u8,
        /// How often it has asked for a renewal.
        renewals: u8,
    },
    /// `release::start`, `release::clear_up`: deleting what may be its own.
    Clearing,
    /// It sends nothing more.
    Over,
}

/// A request, and how far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Call {
    /// What was asked.
    pub request: Request,
    /// The client's clock before it was sent.
    pub sent: u8,
    /// Where it is.
    pub stage: Stage,
}

/// Where a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// On its way to the server.
    Sent,
    /// Done, and the answer is on its way back.
    Answered(Answer),
}

/// How many requests of each kind may still arrive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Late {
    /// Acquires.
    pub acquires: u8,
    /// Renewals.
    pub renewals: u8,
    /// Releases.
    pub releases: u8,
}

impl Client {
    /// Whether its body may go on: the lease is held, and its deadline is ahead (`Hold::state`).
    #[must_use]
    pub fn believes(&self) -> bool {
        matches!(self.phase, Phase::Held { deadline, .. } if NOW < deadline)
    }

    /// Sends a request and waits for its answer.
    pub(super) fn send(&mut self, request: Request) {
        if request == Request::Release {
            // The runtime goes on for ten seconds after the first answer instead (`release::clear`: `LATE`), because
            // TCP gives up on a request by then; the model knows when the last one has arrived or is gone.
            self.doubtful &= self.late.acquires > 0;
        }
        self.call = Some(Call {
            request,
            sent: NOW,
            stage: Stage::Sent,
        });
    }

    /// Stops waiting for an answer (`Backend`: every operation has its own deadline). What is still on its way may
    /// arrive at any time.
    pub(super) fn stop_waiting(&mut self) {
        let Some(call) = self.call.take() else { return };
        self.doubtful |= call.request == Request::Acquire;
        if call.stage == Stage::Sent {
            *self.late.of(call.request) += 1;
        }
    }

    /// A tick has passed.
    pub(super) fn tick(&mut self) {
        if let Some(call) = &mut self.call {
            call.sent = call.sent.saturating_sub(1);
        }
        if let Phase::Held { deadline, .. } = &mut self.phase {
            *deadline = deadline.saturating_sub(1);
        }
    }

    /// Forgets what cannot matter any more, so that fewer states differ.
    pub(super) fn settle(&mut self) {
        if let Some(call) = &mut self.call
            && call.request == Request::Release
        {
            call.sent = 0;
        }
        match &mut self.phase {
            Phase::Held { deadline, .. } if NOW >= *deadline => *deadline = 0,
            Phase::Clearing | Phase::Over => self.granted = false,
            _ => {}
        }
    }

    /// The deadline of a lease that was asked for at `sent` (`hold::deadline`).
    pub(super) fn deadline(rules: &Lease, sent: u8) -> u8 {
        let from = if rules.has(Safeguard::DeadlineFromSend) {
            sent
        } else {
            NOW
        };
        let drift = if rules.has(Safeguard::Drift) { DRIFT } else { 0 };
        from + TTL - drift
    }
}

impl Late {
    /// The count of one kind.
    pub fn of(&mut self, request: Request) -> &mut u8 {
        match request {
            Request::Acquire => &mut self.acquires,
            Request::Renew => &mut self.renewals,
            Request::Release => &mut self.releases,
        }
    }

    /// Whether anything may still arrive.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}
