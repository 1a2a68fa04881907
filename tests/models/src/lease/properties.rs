//! What must hold in every state, and what must happen in some.

use stateright::Property;

use super::client::{Client, Phase};
use super::{Lease, World};
use crate::{NOW, TTL};

/// At most one body may go on at a time.
pub const ONE_HOLDER: &str = "one holder at a time";
/// Whoever comes to hold has a higher fence than everybody before.
pub const FENCES_GROW: &str = "fences grow over holders";
/// Who holds was granted the lock by the server.
pub const UNKNOWN: &str = "unknown never runs a body";
/// Only an acquire makes a key.
pub const NO_CREATION: &str = "a renewal never creates a key";
/// No key is older than its ttl, from the last request of its own claim.
pub const TTL_ENDS: &str = "nothing outlives its ttl";
/// A claim hears "busy" only while another one has the key.
pub const NOT_BY_ITSELF: &str = "no claim is refused because of itself";
/// When all claims are over and nothing is under way, there is no key.
pub const GIVEN_BACK: &str = "what nobody wants any more is given back";

/// Every property.
pub(super) fn all() -> Vec<Property<Lease>> {
    vec![
        Property::always(ONE_HOLDER, |_, world: &World| world.holders() <= 1),
        Property::always(FENCES_GROW, |_, world: &World| !world.seen.fence_not_above),
        Property::always(UNKNOWN, |_, world: &World| {
            let held = |client: &Client| matches!(client.phase, Phase::Held { .. });
            world.clients.iter().all(|client| !held(client) || client.granted)
        }),
        Property::always(NO_CREATION, |_, world: &World| {
            world.server.key.is_none_or(|key| !key.by_renewal)
        }),
        Property::always(TTL_ENDS, |_, world: &World| {
            world.server.key.is_none_or(|key| NOW < key.armed + TTL)
        }),
        Property::always(NOT_BY_ITSELF, |_, world: &World| !world.seen.refused_by_itself),
        Property::always(GIVEN_BACK, |_, world: &World| {
            let over = |client: &Client| client.phase == Phase::Over && client.late.is_none();
            !world.clients.iter().all(over) || world.server.key.is_none()
        }),
        // Or the model would not get to what it is about.
        Property::sometimes("somebody holds", |_, world: &World| world.holders() == 1),
        Property::sometimes("a renewal moves a deadline", |_, world: &World| world.seen.renewed),
        Property::sometimes("one holds after the other", |_, world: &World| world.seen.handed_over),
        Property::sometimes(
            "a key expires under a lease that has not noticed",
            |_, world: &World| {
                let held = |client: &Client| matches!(client.phase, Phase::Held { .. });
                world.clients.iter().filter(|client| held(client)).count() > 1
            },
        ),
    ]
}

impl World {
    /// How many bodies may go on now.
    fn holders(&self) -> usize {
        self.clients.iter().filter(|client| client.believes()).count()
    }
}
