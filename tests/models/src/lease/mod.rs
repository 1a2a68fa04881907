//! Leases on one server: acquire, unknown, renew, lose, release, and requests that arrive late.
//!
//! A client is one claim: one token, used once. A process that locks twice is two of them.

mod client;
mod moves;
pub mod properties;
mod server;

pub use client::{Call, Client, Late, Phase, Stage};
pub use moves::Move;
pub use server::{Answer, Request, Server};

use stateright::{Model, Property};

/// A rule that keeps leases apart, and can be taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Safeguard {
    /// A deadline counts from before the request was sent, not from its answer (`acquire::Attempts::attempt`,
    /// `renewal::renew`: `sent`).
    DeadlineFromSend,
    /// The deadline keeps away from the server's by what clocks differ (`hold::deadline`).
    Drift,
    /// A release deletes the claim's own value only (`release.lua`).
    ReleaseCompares,
    /// A renewal extends the claim's own value only, and creates nothing (`renew.lua`).
    RenewalCompares,
    /// A claim that is sent twice is granted again (`acquire.lua`).
    Idempotent,
    /// No answer is not a grant (`acquire::Attempts::attempt`: `Err`).
    UnknownIsNoGrant,
    /// The key comes with its ttl, in one step (`acquire.lua`: `SET … PX`).
    ExpiryWithTheKey,
    /// Who gives up after an unknown outcome deletes what may have come of it (`release::clear_up`).
    ClearUp,
    /// The deletion is repeated as long as a lost request may arrive (`release::clear`: `LATE`).
    ClearUpAgain,
    /// The fence counter is a key of its own, that no release and no expiry takes away (`acquire.lua`: `KEYS[2]`).
    CounterOutlivesKey,
}

/// The bounds, and what is taken out.
#[derive(Debug, Clone)]
pub struct Lease {
    /// How many claims.
    pub clients: usize,
    /// How often one claim may ask to acquire.
    pub tries: u8,
    /// How often one hold may ask to be renewed.
    pub renewals: u8,
    /// The rule that is taken out.
    pub without: Option<Safeguard>,
}

/// One state of everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct World {
    /// The server. Its clock differs from the clients' by at most [`SKEW`](crate::SKEW) over a ttl.
    pub server: Server,
    /// The claims.
    pub clients: Vec<Client>,
    /// For the properties alone: nobody in the model reads it.
    pub seen: Seen,
}

/// What an observer outside remembers: the highest fence for good, the rest for one step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Seen {
    /// The highest fence that somebody came to hold.
    pub highest: Option<u8>,
    /// Somebody came to hold after somebody else.
    pub handed_over: bool,
    /// Somebody came to hold with a fence that was not above all earlier ones.
    pub fence_not_above: bool,
    /// A claim was refused because of its own key.
    pub refused_by_itself: bool,
    /// A confirmed renewal has moved a deadline.
    pub renewed: bool,
}

impl Seen {
    fn entered(&mut self, fence: u8) {
        self.handed_over = self.highest.is_some();
        self.fence_not_above = self.highest.is_some_and(|highest| fence <= highest);
        self.highest = self.highest.max(Some(fence));
    }

    fn forget(&mut self) {
        *self = Self {
            highest: self.highest,
            ..Self::default()
        };
    }
}

impl Lease {
    /// Whether the rule is in place.
    #[must_use]
    pub fn has(&self, safeguard: Safeguard) -> bool {
        self.without != Some(safeguard)
    }
}

impl Model for Lease {
    type State = World;
    type Action = Move;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            server: Server::default(),
            clients: vec![Client::default(); self.clients],
            seen: Seen::default(),
        }]
    }

    fn actions(&self, world: &World, moves: &mut Vec<Move>) {
        self.possible(world, moves);
    }

    fn next_state(&self, world: &World, step: Move) -> Option<World> {
        let mut next = world.clone();
        self.take(&mut next, step);
        next.clients.iter_mut().for_each(Client::settle);
        if self.has(Safeguard::CounterOutlivesKey) {
            next.shift_fences();
        }
        next.sort_clients();
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}

impl World {
    /// Only the order of fences matters, so the lowest one that is left becomes 0.
    fn shift_fences(&mut self) {
        let mut fences: Vec<&mut u8> = vec![&mut self.server.counter];
        fences.extend(self.seen.highest.as_mut());
        for client in &mut self.clients {
            if let Some(Call {
                stage: Stage::Answered(Answer::Granted(fence)),
                ..
            }) = &mut client.call
            {
                fences.push(fence);
            }
        }
        let lowest = fences.iter().map(|fence| **fence).min().unwrap_or_default();
        for fence in fences {
            *fence -= lowest;
        }
    }

    /// Claims differ by their history alone, so worlds that differ by their order are one state.
    fn sort_clients(&mut self) {
        let owner = self.server.key.map(|key| key.owner);
        let mut order: Vec<usize> = (0..self.clients.len()).collect();
        // The owner of the key is told apart by more than what it knows itself.
        order.sort_by_key(|&index| (self.clients[index], owner == Some(index)));
        self.clients = order.iter().map(|&index| self.clients[index]).collect();
        if let Some(key) = &mut self.server.key {
            key.owner = order.iter().position(|&index| index == key.owner).unwrap_or(key.owner);
        }
    }
}
