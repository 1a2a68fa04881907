//! Right and wrong histories, for every model.

use super::Model::{Fenced, Mutex, OwnerAware, Reentrant, ReentrantFenced};
use super::{Event, History, Judgement, Model, cores_do_not_overlap, in_the_order_of_fences, search};

const STEPS: usize = 1_000_000;

/// Of lines such as `1 a acquire`, all of one lock.
fn history(lines: &str) -> History {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let (time, client) = (words.next().unwrap(), words.next().unwrap());
        let what: Vec<&str> = words.collect();
        let line = format!("{time} {client} lock {}", what.join(" "));
        Event::parse(&line).unwrap_or_else(|| panic!("no event: {line:?}"))
    };
    let events: Vec<Event> = lines
        .split(';')
        .filter(|text| !text.trim().is_empty())
        .map(line)
        .collect();
    History::of(&events)
}

/// The models that refuse the history. The fast judgements must agree where they can judge.
fn refused_by(lines: &str) -> Vec<Model> {
    let history = history(lines);
    let refuses = |model: &Model| match search(&history, *model, STEPS) {
        Judgement::Allowed => false,
        Judgement::Refused { .. } => true,
        Judgement::Undecided => panic!("too many steps for {model:?}: {lines}"),
    };
    let refused: Vec<Model> = Model::ALL.into_iter().filter(refuses).collect();
    if in_the_order_of_fences(&history).is_ok() {
        assert_eq!(refused, [], "in the order of fences, but refused: {lines}");
    }
    if cores_do_not_overlap(&history).is_err_and(|error| error.contains("overlap")) {
        assert!(
            refused.contains(&ReentrantFenced),
            "an overlap that is allowed: {lines}"
        );
    }
    refused
}

fn assert_allowed(lines: &str) {
    assert_eq!(refused_by(lines), [], "{lines}");
    let history = history(lines);
    assert_eq!(in_the_order_of_fences(&history), Ok(()), "{lines}");
    assert_eq!(cores_do_not_overlap(&history), Ok(()), "{lines}");
}

#[test]
fn an_empty_history_is_allowed() {
    assert_allowed("");
}

#[test]
fn one_hold_after_the_other_is_allowed() {
    assert_allowed(
        "1 a acquire; 2 a acquire-ok 10; 3 a release; 4 a release-ok;
         5 b acquire; 6 b acquire-ok 11; 7 b release; 8 b release-ok",
    );
}

#[test]
fn a_waiter_that_asks_during_a_hold_is_allowed() {
    assert_allowed(
        "1 a acquire; 2 a acquire-ok 10; 5 a release; 8 a release-ok;
         3 b acquire; 6 b acquire-ok 11; 9 b release; 10 b release-ok",
    );
}

#[test]
fn what_failed_did_not_happen() {
    assert_allowed(
        "1 a acquire; 2 a acquire-ok 10; 7 a release; 8 a release-ok;
         3 b acquire; 4 b acquire-failed; 5 b acquire; 6 b acquire-failed",
    );
}

#[test]
fn two_holders_at_once_are_refused_by_every_model() {
    let overlap = "1 a acquire; 2 a acquire-ok 10; 5 a release; 6 a release-ok;
                   3 b acquire; 4 b acquire-ok 11; 7 b release; 8 b release-ok";
    assert_eq!(refused_by(overlap), Model::ALL);
    assert!(cores_do_not_overlap(&history(overlap)).is_err());
    assert!(in_the_order_of_fences(&history(overlap)).is_err());
}

#[test]
fn a_holder_that_never_ended_keeps_others_out_for_ever() {
    // Its record goes on, so that it is known to have seen its lease valid.
    let stuck = "1 a acquire; 2 a acquire-ok 10; 9 a valid; 3 b acquire; 4 b acquire-ok 11";
    assert_eq!(refused_by(stuck), Model::ALL);
}

#[test]
fn a_release_by_another_client_is_refused_by_all_but_the_mutex() {
    let foreign = "1 a acquire; 2 a acquire-ok 10; 3 b release; 4 b release-ok; 5 c acquire; 6 c acquire-ok 11";
    // A mutex does not know who released; the others do.
    let refused = refused_by(foreign);
    assert_eq!(refused, [OwnerAware, Reentrant, Fenced, ReentrantFenced]);
}

#[test]
fn a_release_of_a_free_lock_is_refused_by_every_model() {
    assert_eq!(refused_by("1 a release; 2 a release-ok"), Model::ALL);
}

#[test]
fn a_fence_that_goes_back_is_refused_by_the_fenced_models() {
    let back = "1 a acquire; 2 a acquire-ok 11; 3 a release; 4 a release-ok;
                5 b acquire; 6 b acquire-ok 10; 7 b release; 8 b release-ok";
    assert_eq!(refused_by(back), [Fenced, ReentrantFenced]);
    assert!(in_the_order_of_fences(&history(back)).is_err());
}

#[test]
fn a_fence_that_comes_twice_is_refused_by_the_fenced_models() {
    let twice = "1 a acquire; 2 a acquire-ok 10; 3 a release; 4 a release-ok;
                 5 b acquire; 6 b acquire-ok 10; 7 b release; 8 b release-ok";
    assert_eq!(refused_by(twice), [Fenced, ReentrantFenced]);
    assert!(in_the_order_of_fences(&history(twice)).is_err());
}

#[test]
fn a_fence_that_goes_back_to_below_an_older_one_is_refused() {
    let back = "1 a acquire; 2 a acquire-ok 20; 3 a release; 4 a release-ok;
                5 b acquire; 6 b acquire-ok 21; 7 b release; 8 b release-ok;
                9 c acquire; 10 c acquire-ok 15; 11 c release; 12 c release-ok";
    assert_eq!(refused_by(back), [Fenced, ReentrantFenced]);
}

#[test]
fn fences_against_the_order_of_the_answers_are_allowed_when_the_operations_overlap() {
    // `b` may have come first, though it heard later.
    assert_allowed(
        "1 a acquire; 9 a acquire-ok 11; 10 a release; 11 a release-ok;
         1 b acquire; 3 b acquire-ok 10; 4 b release; 8 b release-ok",
    );
}

#[test]
fn a_reentry_is_allowed() {
    assert_allowed(
        "1 a acquire; 2 a acquire-ok 10; 3 a acquire; 4 a acquire-ok 10; 5 a release; 6 a release-ok;
         7 a release; 8 a release-ok; 9 b acquire; 10 b acquire-ok 11; 11 b release; 12 b release-ok",
    );
}

#[test]
fn a_third_entry_is_refused_by_the_reentrant_models() {
    let third = "1 a acquire; 2 a acquire-ok 10; 3 a acquire; 4 a acquire-ok 10; 5 a acquire; 6 a acquire-ok 10;
                 7 a release; 8 a release-ok; 9 a release; 10 a release-ok; 11 a release; 12 a release-ok";
    assert_eq!(refused_by(third), [Reentrant, ReentrantFenced]);
    assert!(in_the_order_of_fences(&history(third)).is_err());
}

#[test]
fn another_fence_on_reentry_is_refused_by_the_reentrant_fenced_model() {
    let changed = "1 a acquire; 2 a acquire-ok 10; 3 a acquire; 4 a acquire-ok 11; 5 a release; 6 a release-ok;
                   7 a release; 8 a release-ok";
    assert_eq!(refused_by(changed), [ReentrantFenced]);
    assert!(in_the_order_of_fences(&history(changed)).is_err());
}

#[test]
fn a_lock_that_is_free_after_the_inner_release_is_refused_by_every_model() {
    let early = "1 a acquire; 2 a acquire-ok 10; 3 a acquire; 4 a acquire-ok 10; 5 a release; 6 a release-ok;
                 7 b acquire; 8 b acquire-ok 11; 9 a release; 10 a release-ok; 11 b release; 12 b release-ok";
    assert_eq!(refused_by(early), Model::ALL);
    assert!(cores_do_not_overlap(&history(early)).is_err());
}

#[test]
fn an_unknown_acquire_may_not_have_happened() {
    assert_allowed("1 a acquire; 2 a acquire-unknown; 3 b acquire; 4 b acquire-ok 10; 5 b release; 6 b release-ok");
}

#[test]
fn an_unknown_acquire_may_have_happened() {
    // Or there would be nothing to release.
    assert_eq!(
        refused_by("1 a acquire; 2 a acquire-unknown; 3 a release; 4 a release-ok"),
        []
    );
}

#[test]
fn an_unknown_acquire_that_must_have_happened_keeps_others_out() {
    // Under a mutex it may have happened later, and `a` has released for `b`.
    let both = "1 a acquire; 2 a acquire-unknown; 7 a release; 8 a release-ok;
                3 b acquire; 4 b acquire-ok 10; 9 b release; 10 b release-ok";
    assert_eq!(refused_by(both), [OwnerAware, Reentrant, Fenced, ReentrantFenced]);
}

#[test]
fn an_unknown_release_may_have_happened() {
    assert_allowed(
        "1 a acquire; 2 a acquire-ok 10; 3 a release; 4 a release-unknown;
         5 b acquire; 6 b acquire-ok 11; 7 b release; 8 b release-ok",
    );
}

#[test]
fn an_unknown_release_does_not_happen_before_it_began() {
    let before = "1 a acquire; 2 a acquire-ok 10; 5 a release; 6 a release-unknown;
                  3 b acquire; 4 b acquire-ok 11; 7 b release; 8 b release-ok";
    assert_eq!(refused_by(before), Model::ALL);
}

#[test]
fn a_release_that_failed_leaves_the_lock_held() {
    let failed = "1 a acquire; 2 a acquire-ok 10; 3 a release; 4 a release-failed; 9 a release; 10 a release-ok;
                  5 b acquire; 6 b acquire-ok 11; 7 b release; 8 b release-ok";
    assert_eq!(refused_by(failed), Model::ALL);
}

#[test]
fn a_lost_lease_ends_between_its_last_valid_moment_and_the_recorded_loss() {
    assert_allowed(
        "1 a acquire; 2 a acquire-ok 10; 3 a valid; 9 a lost;
         4 b acquire; 5 b acquire-ok 11; 6 b release; 7 b release-ok",
    );
}

#[test]
fn a_lease_is_not_lost_before_its_last_valid_moment() {
    let valid = "1 a acquire; 2 a acquire-ok 10; 8 a valid; 9 a lost;
                 4 b acquire; 5 b acquire-ok 11; 6 b release; 7 b release-ok";
    assert_eq!(refused_by(valid), Model::ALL);
    assert!(cores_do_not_overlap(&history(valid)).is_err());
}

#[test]
fn a_lost_lease_is_lost_with_its_reentries() {
    assert_allowed(
        "1 a acquire; 2 a acquire-ok 10; 3 a acquire; 4 a acquire-ok 10; 5 a valid; 9 a lost;
         6 b acquire; 7 b acquire-ok 11; 10 b release; 11 b release-ok",
    );
}

#[test]
fn a_holder_that_has_lost_its_lease_can_come_back_with_a_new_fence_only() {
    let events = |fence: u64| {
        format!(
            "1 a acquire; 2 a acquire-ok 10; 3 a lost; 4 b acquire; 5 b acquire-ok 11; 6 b release; 7 b release-ok;
             8 a acquire; 9 a acquire-ok {fence}; 10 a release; 11 a release-ok"
        )
    };
    assert_allowed(&events(12));
    assert_eq!(refused_by(&events(10)), [Fenced, ReentrantFenced]);
}

#[test]
fn a_killed_holder_may_lose_its_lease_at_any_time_afterwards() {
    assert_allowed("1 a acquire; 2 a acquire-ok 10; 3 b acquire; 8 b acquire-ok 11; 9 b release; 10 b release-ok");
    assert_allowed(
        "1 a acquire; 2 a acquire-ok 10; 3 a acquire; 4 b acquire; 8 b acquire-ok 11; 9 b release; 10 b release-ok",
    );
}

#[test]
fn what_an_unknown_operation_left_does_not_end_a_later_hold() {
    // Under a mutex it may have happened after `a` has released for `b`.
    let later = "1 a acquire; 2 a acquire-unknown; 3 a acquire; 4 a acquire-ok 10; 7 a release; 8 a release-ok;
                 5 b acquire; 6 b acquire-ok 11; 9 b release; 10 b release-ok";
    assert_eq!(refused_by(later), [OwnerAware, Reentrant, Fenced, ReentrantFenced]);
}

#[test]
fn the_mutex_has_no_owners_but_two_holds_are_still_one_too_many() {
    let twice = "1 a acquire; 2 a acquire-ok 10; 3 b acquire; 4 b acquire-ok 11; 5 a release; 6 a release-ok";
    assert!(refused_by(twice).contains(&Mutex));
}

#[test]
fn what_is_written_can_be_read() {
    let lines = "1 a lock acquire\n2 a lock acquire-ok 10\n3 a lock valid\n4 a lock release\n5 a lock release-ok\n";
    let events: Vec<Event> = lines.lines().map(|line| Event::parse(line).unwrap()).collect();
    let written: String = events.iter().map(|event| format!("{event}\n")).collect();
    assert_eq!(written, lines);
    assert_eq!(Event::parse("1 a lock acquire-ok"), None);
    assert_eq!(Event::parse("1 a lock leave"), None);
}

/// A small generator, so that every run judges the same histories.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Events of a lock that works, seen by clients that hear and see late; then some times are moved.
fn random_history(random: &mut Random, holds: u64, disorder: u64) -> History {
    let mut lines = Vec::new();
    let mut free_since = [0; 3];
    let (mut now, mut fence) = (10, 100);
    for _ in 0..holds {
        let client = random.below(3);
        let free = &mut free_since[usize::try_from(client).unwrap()];
        let start = (*free + 1).max(now - random.below(6).min(now));
        now = now.max(start) + 1;
        let (mut heard, mut gone) = (now + random.below(3), now + 3 + random.below(4));
        fence += 1 + random.below(2);
        let fence = if random.below(30) < disorder { fence - 2 } else { fence };
        if random.below(10) < disorder {
            heard += random.below(4);
            gone = heard + 1 + random.below(5);
        }
        let end = gone + 1 + random.below(4);
        lines.push((start, format!("{client} acquire")));
        lines.push((heard, format!("{client} acquire-ok {fence}")));
        lines.push((gone, format!("{client} release")));
        lines.push((end, format!("{client} release-ok")));
        *free = end;
        // The next one may come as soon as the release has begun.
        now = if random.below(10) < disorder { gone - 1 } else { gone };
    }
    let lines: Vec<String> = lines.iter().map(|(time, line)| format!("{time} {line}")).collect();
    history(&lines.join(";"))
}

#[test]
fn the_order_of_fences_and_the_search_agree() {
    let mut random = Random(7);
    let (mut allowed, mut refused) = (0, 0);
    for round in 0..2000 {
        let history = random_history(&mut random, 6, round % 4);
        let by_fences = in_the_order_of_fences(&history).is_ok();
        let by_search = search(&history, ReentrantFenced, STEPS);
        assert_ne!(by_search, Judgement::Undecided);
        assert_eq!(by_fences, by_search == Judgement::Allowed, "{history:?}");
        if by_fences {
            allowed += 1;
        } else {
            refused += 1;
        }
    }
    assert!(allowed > 300 && refused > 300, "{allowed} allowed, {refused} refused");
}

#[test]
fn a_long_history_is_judged_quickly_and_one_wrong_hold_in_it_is_found() {
    let mut random = Random(1);
    let mut long = random_history(&mut random, 5000, 0);
    assert_eq!(in_the_order_of_fences(&long), Ok(()));
    assert_eq!(cores_do_not_overlap(&long), Ok(()));
    assert_eq!(search(&long, ReentrantFenced, STEPS), Judgement::Allowed);
    let middle = long.operations.len() / 2;
    let wrong = long.operations[middle..]
        .iter()
        .position(|operation| matches!(operation.action, super::Action::Acquire(_)))
        .unwrap();
    let operation = &mut long.operations[middle + wrong];
    operation.action = super::Action::Acquire(Some(100));
    assert!(in_the_order_of_fences(&long).is_err());
}
