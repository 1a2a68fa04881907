//! What votes amount to, for three servers and for five.

use super::super::super::{Applied, FailureKind};
use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn failure() -> Failure {
    Failure {
        kind: FailureKind::Transient,
        applied: Applied::Unknown,
        reason: "no answer".to_owned(),
        source: None,
    }
}

/// What the claims of these ballots propose.
const PROPOSAL: u64 = 5;

/// By a server that has counted so far, and says that it is this time.
fn granted_at(counter: u64, time: u64) -> Result<Vote, Failure> {
    Ok(Vote::Ahead { counter, time })
}

fn granted(counter: u64) -> Result<Vote, Failure> {
    granted_at(counter, 100)
}

/// By a server that counts for the proposal.
fn counted(time: u64) -> Result<Vote, Failure> {
    Ok(Vote::Counted { time })
}

fn busy(holder: &str, seconds: Option<u32>) -> Result<Vote, Failure> {
    Ok(Vote::Busy {
        remaining: seconds.map(|seconds| SECOND * seconds),
        holder: holder.into(),
    })
}

/// No answer.
fn none() -> Result<Vote, Failure> {
    Err(failure())
}

fn ballot<const N: usize>(servers: usize, votes: [Result<Vote, Failure>; N]) -> Ballot {
    let mut ballot = Ballot::new(servers, servers / 2 + 1, PROPOSAL);
    votes.into_iter().for_each(|vote| ballot.count(vote));
    ballot
}

fn extension<const N: usize>(servers: usize, answers: [Result<Renewed, Failure>; N]) -> Extension {
    let mut extension = Extension::new(servers, servers / 2 + 1);
    for (server, answer) in answers.into_iter().enumerate() {
        extension.count(server, answer);
    }
    extension
}

fn release<const N: usize>(servers: usize, answers: [Result<Released, Failure>; N]) -> Release {
    let mut release = Release::new(servers, servers / 2 + 1);
    answers.into_iter().for_each(|answer| release.count(answer));
    release
}

#[test]
fn a_majority_of_grants_has_the_lock_and_its_largest_number() {
    assert_eq!(ballot(3, [granted(7)]).verdict(), None);
    let two = ballot(3, [granted(7), none(), granted(6)]);
    let verdict = Verdict::Granted(Grants {
        is_counted: false,
        is_too_high: false,
        highest: 7,
        time: 100,
    });
    assert_eq!(two.verdict(), Some(verdict));
    let Verdict::Granted(closed) = two.close() else {
        panic!("not granted");
    };
    assert_eq!(closed.highest, 7);
}

fn grants<const N: usize>(servers: usize, votes: [Result<Vote, Failure>; N]) -> Grants {
    match ballot(servers, votes).verdict() {
        Some(Verdict::Granted(grants)) => grants,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_proposal_is_the_fence_where_a_majority_counts_for_it() {
    let all = grants(5, [counted(30), counted(10), none(), counted(20)]);
    assert!(all.is_counted);
    assert_eq!((all.highest, all.time), (PROPOSAL, 10));
    let too_few = grants(5, [counted(30), counted(10), granted(5)]);
    assert!(!too_few.is_counted && !too_few.is_too_high);
    assert_eq!((too_few.highest, too_few.time), (PROPOSAL, 10));
    assert_eq!(grants(5, [counted(30), granted(9), granted(2)]).highest, 9);
}

#[test]
fn a_proposal_is_too_high_where_a_smaller_counter_refuses_it() {
    assert!(grants(3, [counted(30), granted(4)]).is_too_high);
    let both = grants(3, [granted_at(3, 40), granted_at(4, 50)]);
    assert!(both.is_too_high);
    assert_eq!((both.highest, both.time), (4, 40));
}

#[test]
fn a_majority_for_another_claim_is_certain_before_all_have_voted() {
    let two = ballot(3, [busy("a", Some(4)), busy("a", Some(2))]);
    assert_eq!(two.verdict(), Some(Verdict::Held(Some(SECOND * 4))));
    assert_eq!(ballot(3, [busy("a", Some(4)), granted(1)]).verdict(), None);
    assert_eq!(ballot(3, [busy("a", Some(4)), busy("b", Some(4))]).verdict(), None);
}

#[test]
fn votes_for_three_claims_are_a_split() {
    let split = ballot(3, [busy("a", Some(1)), busy("b", Some(1)), granted(1)]);
    assert_eq!(split.verdict(), Some(Verdict::Split));
}

#[test]
fn a_claim_that_may_have_a_majority_holds() {
    // The third server did not answer: it may be the other one's second vote.
    let unclear = ballot(3, [busy("a", Some(3)), granted(1), none()]);
    assert_eq!(unclear.verdict(), Some(Verdict::Held(Some(SECOND * 3))));
    let five = ballot(5, [busy("a", Some(3)), busy("b", Some(1)), granted(1), none(), none()]);
    assert_eq!(five.verdict(), Some(Verdict::Held(Some(SECOND * 3))));
    let cannot = ballot(
        5,
        [busy("a", Some(3)), busy("b", Some(1)), granted(1), granted(2), none()],
    );
    assert_eq!(cannot.verdict(), Some(Verdict::Split));
}

#[test]
fn without_another_claim_nobody_holds() {
    let alone = ballot(5, [granted(1), granted(2), none(), none()]);
    assert_eq!(alone.verdict(), None);
    assert_eq!(alone.close(), Verdict::Undecided);
    let two_of_four = ballot(4, [granted(1), granted(2), none(), none()]);
    assert_eq!(two_of_four.verdict(), Some(Verdict::Undecided));
}

#[test]
fn too_few_answers_decide_nothing() {
    let one = ballot(3, [busy("a", None), none(), none()]);
    assert_eq!(one.verdict(), Some(Verdict::Undecided));
    assert_eq!(one.failures().len(), 2);
}

#[test]
fn a_majority_is_free_when_enough_of_the_others_votes_have_expired() {
    let held = |votes| ballot(3, votes).close();
    let (short, long, ever) = (Some(1), Some(9), None);
    // We have one vote and need one more: the shorter one.
    assert_eq!(
        held([granted(1), busy("a", long), busy("a", short)]),
        Verdict::Held(Some(SECOND))
    );
    // We need two.
    assert_eq!(
        held([busy("a", ever), busy("a", long), busy("a", short)]),
        Verdict::Held(Some(SECOND * 9))
    );
    assert_eq!(
        held([busy("a", ever), busy("a", ever), busy("a", short)]),
        Verdict::Held(None)
    );
}

#[test]
fn a_renewal_needs_a_majority_and_is_lost_when_none_is_left() {
    use Renewed::{Extended, Missing, Taken};
    assert_eq!(extension(3, [Ok(Extended)]).verdict(), None);
    assert_eq!(extension(3, [Ok(Extended), Ok(Taken)]).verdict(), None);
    assert_eq!(
        extension(3, [Ok(Taken), Err(failure()), Err(failure())]).verdict(),
        None
    );
    assert_eq!(
        extension(3, [Ok(Taken), Ok(Extended), Ok(Extended)]).verdict(),
        Some(Extended)
    );
    assert_eq!(extension(3, [Ok(Taken), Ok(Taken)]).verdict(), Some(Taken));
    assert_eq!(extension(3, [Ok(Missing), Ok(Missing)]).verdict(), Some(Missing));
    assert_eq!(extension(3, [Ok(Taken), Ok(Missing)]).verdict(), Some(Missing));
    let some = extension(5, [Ok(Missing), Ok(Extended), Err(failure()), Ok(Missing)]);
    assert_eq!(some.lost_by(), [0, 3]);
    assert_eq!(some.verdict(), None);
    assert_eq!(some.into_failures().len(), 1);
}

#[test]
fn a_release_is_what_a_majority_says() {
    use Released::{Done, Missing, Taken};
    assert_eq!(release(3, [Ok(Done)]).verdict(), None);
    assert_eq!(release(3, [Ok(Done)]).close(), None);
    assert_eq!(release(3, [Ok(Done), Ok(Done)]).verdict(), Some(Done));
    assert_eq!(release(3, [Ok(Missing), Ok(Taken)]).verdict(), Some(Missing));
    assert_eq!(release(3, [Ok(Taken), Ok(Taken)]).verdict(), Some(Taken));
    assert_eq!(release(3, [Ok(Missing), Ok(Missing)]).verdict(), Some(Missing));
    // The one that is missing may have it: not certain yet, and a majority may have had it.
    let open = release(3, [Ok(Done), Ok(Missing)]);
    assert_eq!(open.verdict(), None);
    assert_eq!(open.close(), Some(Done));
    let of_five = release(5, [Ok(Done), Ok(Missing), Ok(Missing)]);
    assert_eq!(of_five.verdict(), None);
    assert_eq!(of_five.close(), Some(Done));
    let failed = release(3, [Ok(Done), Err(failure()), Err(failure())]);
    assert_eq!(failed.close(), None);
    assert_eq!(failed.into_failures().len(), 2);
}

#[test]
fn a_holder_has_a_majority_until_one_vote_too_many_expires() {
    let at = |value: &str, seconds: Option<u32>| {
        Ok(Some(Stored {
            value: value.to_owned(),
            remaining: seconds.map(|seconds| SECOND * seconds),
        }))
    };
    let remaining = |answers| {
        stored(answers, 2)
            .map(|stored| stored.map(|stored| stored.remaining))
            .ok()
    };
    assert_eq!(
        remaining(vec![at("a", Some(1)), at("a", Some(5)), at("a", Some(9))]),
        Some(Some(Some(SECOND * 5)))
    );
    assert_eq!(
        remaining(vec![at("a", None), at("a", Some(5)), Ok(None)]),
        Some(Some(Some(SECOND * 5)))
    );
    assert_eq!(
        remaining(vec![at("a", None), at("a", None), Ok(None)]),
        Some(Some(None))
    );
    assert_eq!(
        remaining(vec![at("a", Some(1)), at("b", Some(5)), Ok(None)]),
        Some(None)
    );
    assert_eq!(
        remaining(vec![at("a", Some(1)), at("a", Some(1)), Err(failure())]),
        Some(Some(Some(SECOND)))
    );
    assert_eq!(remaining(vec![at("a", Some(1)), Err(failure()), Err(failure())]), None);
}

#[test]
fn something_was_deleted_if_anyone_says_so_and_a_majority_answers() {
    assert_eq!(forced(vec![Ok(false), Ok(true), Err(failure())], 2).ok(), Some(true));
    assert_eq!(forced(vec![Ok(false), Ok(false), Err(failure())], 2).ok(), Some(false));
    assert_eq!(forced(vec![Ok(true), Err(failure()), Err(failure())], 2).ok(), None);
}

#[test]
fn nothing_is_decided_before_the_answers_that_are_missing() {
    use Released::{Done, Missing, Taken};

    let votes = |servers, votes: [Result<Vote, Failure>; 2]| ballot(servers, votes).missing();
    assert_eq!(ballot(5, []).missing(), 3);
    assert_eq!(votes(5, [granted(1), granted(1)]), 1);
    assert_eq!(votes(5, [granted(1), none()]), 2);
    assert_eq!(votes(5, [busy("a", None), busy("a", None)]), 1);
    assert_eq!(votes(5, [busy("a", None), busy("b", None)]), 2);
    assert_eq!(votes(3, [granted(1), granted(1)]), 0);
    assert_eq!(release(5, []).missing(), 3);
    assert_eq!(release(5, [Ok(Done), Ok(Missing)]).missing(), 2);
    assert_eq!(release(5, [Ok(Taken), Ok(Missing)]).missing(), 1);
    assert_eq!(release(5, [Ok(Done), Err(failure())]).missing(), 2);
    // Of four, two who do not have it are enough: no majority can have had it.
    assert_eq!(release(4, []).missing(), 2);
    assert_eq!(release(4, [Ok(Missing), Ok(Missing)]).missing(), 0);
}
