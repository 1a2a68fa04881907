//! Every state of a few claims on one server: nothing goes wrong with all rules in place, and something known does
//! with each rule taken out.

use std::time::Instant;

use lock_models::lease::properties::{
    FENCES_GROW, GIVEN_BACK, NO_CREATION, NOT_BY_ITSELF, ONE_HOLDER, TTL_ENDS, UNKNOWN,
};
use lock_models::lease::{Lease, Safeguard};
use stateright::{Checker, HasDiscoveries, Model};

/// Two claims that repeat requests and renew.
const PAIR: Lease = Lease {
    clients: 2,
    tries: 2,
    renewals: 2,
    without: None,
};

/// Three claims, for accidents that need a third one.
const TRIO: Lease = Lease {
    clients: 3,
    tries: 1,
    renewals: 1,
    without: None,
};

fn nothing_goes_wrong(model: Lease) {
    let start = Instant::now();
    let checker = model.clone().checker().spawn_bfs().join();
    println!(
        "{model:?}: {} states, {} steps deep, {:?}",
        checker.unique_state_count(),
        checker.max_depth(),
        start.elapsed()
    );
    checker.assert_properties();
}

/// Without the rule, the checker finds how each of `accidents` happens.
fn it_takes(model: Lease, without: Safeguard, accidents: &[&'static str]) {
    let start = Instant::now();
    let model = Lease {
        without: Some(without),
        ..model
    };
    let wanted = HasDiscoveries::AllOf(accidents.iter().copied().collect());
    let checker = model.checker().finish_when(wanted).spawn_bfs().join();
    println!(
        "{:?}: {} states, {:?}",
        without,
        checker.unique_state_count(),
        start.elapsed()
    );
    for accident in accidents {
        let path = checker.assert_any_discovery(accident);
        println!("  not \"{accident}\": {:?}", path.into_actions());
    }
}

#[test]
fn two_claims_with_every_rule_in_place() {
    nothing_goes_wrong(PAIR);
}

#[test]
fn three_claims_with_every_rule_in_place() {
    nothing_goes_wrong(TRIO);
}

#[test]
fn a_deadline_counted_from_the_answer_lets_two_hold() {
    it_takes(PAIR, Safeguard::DeadlineFromSend, &[ONE_HOLDER]);
}

#[test]
fn a_deadline_without_drift_lets_two_hold() {
    it_takes(PAIR, Safeguard::Drift, &[ONE_HOLDER]);
}

#[test]
fn a_release_that_does_not_compare_lets_two_hold() {
    it_takes(TRIO, Safeguard::ReleaseCompares, &[ONE_HOLDER]);
}

#[test]
fn a_renewal_that_does_not_compare_makes_keys_and_lets_two_hold() {
    it_takes(TRIO, Safeguard::RenewalCompares, &[NO_CREATION, ONE_HOLDER]);
}

#[test]
fn a_claim_that_is_not_granted_twice_is_refused_because_of_itself() {
    it_takes(PAIR, Safeguard::Idempotent, &[NOT_BY_ITSELF]);
}

#[test]
fn an_unknown_outcome_taken_for_a_grant_runs_bodies_without_the_lock() {
    it_takes(PAIR, Safeguard::UnknownIsNoGrant, &[UNKNOWN, ONE_HOLDER]);
}

#[test]
fn a_ttl_that_comes_after_the_key_may_never_come() {
    it_takes(PAIR, Safeguard::ExpiryWithTheKey, &[TTL_ENDS]);
}

#[test]
fn without_clearing_up_a_claim_that_gave_up_holds_the_lock() {
    it_takes(PAIR, Safeguard::ClearUp, &[GIVEN_BACK]);
}

#[test]
fn with_one_deletion_only_a_late_acquire_holds_the_lock() {
    it_takes(PAIR, Safeguard::ClearUpAgain, &[GIVEN_BACK]);
}

#[test]
fn a_fence_counter_that_goes_with_the_key_starts_again() {
    it_takes(PAIR, Safeguard::CounterOutlivesKey, &[FENCES_GROW]);
}
