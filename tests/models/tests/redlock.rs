//! Every state of a few claims on three servers: nothing goes wrong with all rules in place, and something known does
//! with each rule taken out, within the same bounds.

use std::time::Instant;

use lock_models::redlock::properties::{FENCES_GROW, ONE_HOLDER};
use lock_models::redlock::{Redlock, Safeguard};
use stateright::{Checker, HasDiscoveries, Model};

/// Two rivals, and whether one gets in beside the other.
const PAIR: Redlock = Redlock {
    claims: 2,
    ttl: 3,
    has_time: true,
    has_skew: true,
    has_fences: false,
    has_unheard_votes: false,
    renewals: 0,
    restarts: 0,
    repopulates: false,
    counters: [0, 0, 0],
    without: None,
};

/// They renew, and give the key to members that have lost it.
const RENEWING: Redlock = Redlock {
    renewals: 2,
    restarts: 1,
    repopulates: true,
    ..PAIR
};

/// A member loses its data.
const RESTARTING: Redlock = Redlock { restarts: 1, ..PAIR };

/// Three claims, for an accident that needs a third one and no time.
const TRIO: Redlock = Redlock {
    claims: 3,
    has_time: false,
    ..PAIR
};

/// Two rivals and their fences, where earlier holds have left different counters.
const FENCED: Redlock = Redlock {
    ttl: 2,
    has_fences: true,
    has_unheard_votes: true,
    counters: [0, 0, 2],
    ..PAIR
};

/// And a member loses its counter.
const FENCED_RESTARTING: Redlock = Redlock {
    has_skew: false,
    has_unheard_votes: false,
    restarts: 1,
    counters: [0, 0, 0],
    ..FENCED
};

/// Three claims and their fences, one after the other or side by side, without time.
const FENCED_TRIO: Redlock = Redlock {
    has_fences: true,
    ..TRIO
};

fn nothing_goes_wrong(model: Redlock) {
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

/// Without the rule, the checker finds how the accident happens.
fn it_takes(model: Redlock, without: Safeguard, accident: &'static str) {
    let start = Instant::now();
    let model = Redlock {
        without: Some(without),
        ..model
    };
    let wanted = HasDiscoveries::AllOf([accident].into());
    let checker = model.checker().finish_when(wanted).spawn_bfs().join();
    println!(
        "{without:?}: {} states, {:?}",
        checker.unique_state_count(),
        start.elapsed()
    );
    let path = checker.assert_any_discovery(accident);
    println!("  not \"{accident}\": {:?}", path.into_actions());
}

#[test]
fn two_rivals_with_every_rule_in_place() {
    nothing_goes_wrong(PAIR);
}

#[test]
fn two_rivals_that_renew_with_every_rule_in_place() {
    nothing_goes_wrong(RENEWING);
}

#[test]
fn two_rivals_and_a_member_that_loses_its_data_with_every_rule_in_place() {
    nothing_goes_wrong(RESTARTING);
}

#[test]
fn three_claims_with_every_rule_in_place() {
    nothing_goes_wrong(TRIO);
}

#[test]
fn fences_of_two_rivals_with_every_rule_in_place() {
    nothing_goes_wrong(FENCED);
}

#[test]
fn fences_of_two_rivals_and_a_member_that_loses_its_counter_with_every_rule_in_place() {
    nothing_goes_wrong(FENCED_RESTARTING);
}

#[test]
fn fences_of_three_claims_with_every_rule_in_place() {
    nothing_goes_wrong(FENCED_TRIO);
}

#[test]
fn without_the_write_back_a_later_holder_has_a_lower_fence() {
    it_takes(FENCED, Safeguard::FenceWriteBack, FENCES_GROW);
}

#[test]
fn a_write_back_to_members_that_another_claim_has_lets_fences_go_back() {
    it_takes(FENCED, Safeguard::RaiseCompares, FENCES_GROW);
}

#[test]
fn a_vote_that_does_not_count_up_to_the_proposal_lets_fences_go_back() {
    it_takes(FENCED, Safeguard::VoteCounts, FENCES_GROW);
}

#[test]
fn a_vote_that_does_not_compare_lets_an_old_clock_decide() {
    it_takes(FENCED, Safeguard::VoteCompares, FENCES_GROW);
}

#[test]
fn a_deadline_counted_from_the_majority_lets_two_hold() {
    it_takes(PAIR, Safeguard::DeadlineFromSend, ONE_HOLDER);
}

#[test]
fn a_deadline_without_drift_lets_two_hold() {
    it_takes(PAIR, Safeguard::Drift, ONE_HOLDER);
}

#[test]
fn a_member_that_votes_at_once_after_it_lost_its_data_lets_two_hold() {
    it_takes(RESTARTING, Safeguard::DelayedRestart, ONE_HOLDER);
}

#[test]
fn a_member_that_votes_with_a_new_counter_lets_fences_go_back() {
    it_takes(FENCED_RESTARTING, Safeguard::AdmissionRaises, FENCES_GROW);
}

#[test]
fn a_member_that_hears_one_other_before_it_votes_again_lets_fences_go_back() {
    it_takes(FENCED_RESTARTING, Safeguard::AdmissionHearsMajority, FENCES_GROW);
}

#[test]
fn a_release_that_does_not_compare_lets_two_hold() {
    it_takes(TRIO, Safeguard::ReleaseCompares, ONE_HOLDER);
}

#[test]
fn a_renewal_by_one_member_lets_two_hold() {
    it_takes(RENEWING, Safeguard::RenewalMajority, ONE_HOLDER);
}
