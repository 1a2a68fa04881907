//! What must hold in every state, and what must happen in some.

use stateright::Property;

use super::{Claim, Phase, Redlock, World};
use crate::NOW;

/// At most one body may go on at a time.
pub const ONE_HOLDER: &str = "one holder at a time";
/// Whoever comes to hold has a higher fence than everybody before.
pub const FENCES_GROW: &str = "fences grow over holders";
/// No key is older than its ttl.
pub const TTL_ENDS: &str = "nothing outlives its ttl";
/// When all claims are over and nothing is under way, no member has a key.
pub const GIVEN_BACK: &str = "what nobody wants any more is given back";

/// Every property that the bounds allow.
pub(super) fn all(model: &Redlock) -> Vec<Property<Redlock>> {
    let mut all = vec![
        Property::always(ONE_HOLDER, |_, world: &World| {
            world.claims.iter().filter(|claim| claim.believes()).count() <= 1
        }),
        Property::always(FENCES_GROW, |_, world: &World| !world.seen.fence_not_above),
        Property::always(TTL_ENDS, |model: &Redlock, world: &World| {
            world.count(|member| member.key.is_some_and(|key| NOW >= key.armed + model.ttl)) == 0
        }),
        Property::always(GIVEN_BACK, |model: &Redlock, world: &World| {
            let is_over = world
                .claims
                .iter()
                .take(model.claims)
                .all(|claim| claim.phase == Phase::Over);
            let under_way = world.count(|member| member.links.iter().any(|link| link.acquire || link.release));
            !is_over || under_way > 0 || world.count(|member| member.key.is_some()) == 0
        }),
        // Or the model would not get to what it is about.
        Property::sometimes("somebody holds", |_, world: &World| {
            world.claims.iter().any(Claim::believes)
        }),
        Property::sometimes("an acquire arrives after the release", |_, world: &World| {
            let is_late = |number: usize| world.claims[number].phase == Phase::Over;
            let late_key = |member: &super::Member| member.key.is_some_and(|key| is_late(key.owner));
            world.count(late_key) > 0
        }),
    ];
    if model.has_fences {
        all.push(Property::sometimes("one holds after the other", |_, world: &World| {
            world.seen.handed_over
        }));
    }
    if model.renewals > 0 {
        all.push(Property::sometimes("a renewal moves a deadline", |_, world: &World| {
            world.seen.renewed
        }));
    }
    if model.restarts > 0 {
        all.push(Property::sometimes(
            "a member votes again after its restart",
            |_, world: &World| world.seen.voted_again,
        ));
    }
    all
}
