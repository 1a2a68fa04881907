//! When a release is tried again, for how long, and what its caller is told; on the test's own clock.

use tokio::time::{Instant, sleep};

use super::*;
use crate::backend::{Acquired, Released};
use crate::scripted::{AT_ONCE, Scripted, claim, failed, hold, ms, unknown, unsent};
use crate::terms::Spec;

/// Longer than anything goes on in the background.
const LONG: Duration = Duration::from_secs(100);
const TTL: Duration = Duration::from_secs(60);

fn spec() -> Spec {
    Spec::fail().ttl(TTL).never_renew()
}

/// Ends a hold; what its caller is told, and when the requests were sent.
async fn ended(backend: Scripted, spec: &Spec, doubtful: bool) -> (ReleaseEnd, Vec<u128>) {
    let (backend, shared) = backend.shared();
    let began = Instant::now();
    let end = hold(&shared, spec, doubtful).release().unwrap().wait().await;
    sleep(LONG).await;
    assert_eq!(shared.releases.len(), 0, "something still goes on");
    (end, backend.released(began))
}

#[tokio::test(start_paused = true)]
async fn the_last_owner_releases_by_its_end_or_its_drop() {
    use crate::ownership::Ownership;

    for dropped in [false, true] {
        let (backend, shared) = Scripted::default().releases([(AT_ONCE, Ok(Released::Done))]).shared();
        let hold = hold(&shared, &spec(), false);
        let mut one = Ownership::new(Arc::clone(&hold));
        let mut other = one.clone();
        assert!(one.end().is_none());
        sleep(ms(1)).await;
        assert!(!hold.has_ended() && backend.asked().is_empty());
        if dropped {
            drop(other);
        } else {
            assert!(other.end().is_some());
        }
        sleep(ms(1)).await;
        assert!(hold.has_ended());
        assert_eq!(backend.asked().len(), 1);
        assert!(hold.release().is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn one_answer_is_enough() {
    for (answer, expected) in [
        (Released::Done, None),
        (Released::Missing, Some(LostReason::Missing)),
        (Released::Taken, Some(LostReason::Taken)),
    ] {
        let (end, sent) = ended(Scripted::default().releases([(AT_ONCE, Ok(answer))]), &spec(), false).await;
        match end {
            ReleaseEnd::Released => assert_eq!(expected, None),
            ReleaseEnd::Lost(reason) => assert_eq!(expected, Some(reason)),
            ReleaseEnd::Failed(failure) => panic!("{failure:?}"),
        }
        assert_eq!(sent, [0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_try_is_made_while_half_of_the_time_is_left() {
    for (after, tries) in [(0, vec![0, 10]), (490, vec![0, 500]), (500, vec![0, 510])] {
        let backend = Scripted::default().releases([(ms(after), unsent()), (AT_ONCE, Ok(Released::Done))]);
        let (end, sent) = ended(backend, &spec(), false).await;
        assert!(matches!(end, ReleaseEnd::Released), "{after}: {end:?}");
        assert_eq!(sent, tries);
    }
}

#[tokio::test(start_paused = true)]
async fn later_it_goes_on_in_the_background_until_it_is_answered() {
    let backend = Scripted::default().releases([
        (ms(501), unsent()),
        (AT_ONCE, unsent()),
        (AT_ONCE, unsent()),
        (AT_ONCE, Ok(Released::Done)),
    ]);
    let (end, sent) = ended(backend, &spec(), false).await;
    assert!(matches!(end, ReleaseEnd::Failed(_)), "{end:?}");
    assert_eq!(sent, [0, 550, 650, 850]);
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_for_good_is_not_tried_again_by_the_caller() {
    for kind in [FailureKind::Permanent, FailureKind::WrongType] {
        let backend =
            Scripted::default().releases([(AT_ONCE, failed(kind, Applied::No)), (AT_ONCE, Ok(Released::Done))]);
        let (end, sent) = ended(backend, &spec(), false).await;
        assert!(matches!(end, ReleaseEnd::Failed(failure) if failure.kind == kind));
        assert_eq!(sent, [0, 50], "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_background_gives_up_when_the_ttl_is_over() {
    let ttl = Duration::from_secs(5);
    let (end, sent) = ended(Scripted::default(), &Spec::fail().ttl(ttl), false).await;
    assert!(matches!(end, ReleaseEnd::Failed(_)), "{end:?}");
    // Each try waits a second for its answer.
    assert_eq!(sent, [0, 1_050, 2_150, 3_350, 4_750, 6_550]);
}

#[tokio::test(start_paused = true)]
async fn a_majority_goes_on_by_itself() {
    let (end, sent) = ended(Scripted::default().with_quorum(true), &spec(), false).await;
    assert!(matches!(end, ReleaseEnd::Failed(_)), "{end:?}");
    assert_eq!(sent, [0]);
}

#[tokio::test(start_paused = true)]
async fn what_an_unanswered_try_may_have_done_is_done() {
    for found in [Released::Missing, Released::Taken] {
        let backend = Scripted::default().releases([(ms(5), unknown()), (AT_ONCE, Ok(found))]);
        let (end, _) = ended(backend, &spec(), false).await;
        assert!(matches!(end, ReleaseEnd::Released), "{end:?}");
        let backend = Scripted::default().releases([(ms(5), unsent()), (AT_ONCE, Ok(found))]);
        let (end, _) = ended(backend, &spec(), false).await;
        assert!(matches!(end, ReleaseEnd::Lost(_)), "{end:?}");
        // Once unknown, it stays so.
        let backend = Scripted::default().releases([(ms(5), unknown()), (ms(5), unsent()), (AT_ONCE, Ok(found))]);
        let (end, _) = ended(backend, &spec(), false).await;
        assert!(matches!(end, ReleaseEnd::Released), "{end:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_was_lost_to_others_is_asked_for_on_a_majority_only() {
    for reason in [LostReason::Taken, LostReason::Missing] {
        for is_quorum in [false, true] {
            let answers = [(AT_ONCE, Ok(Released::Missing))];
            let (backend, shared) = Scripted::default().with_quorum(is_quorum).releases(answers).shared();
            let began = Instant::now();
            let hold = hold(&shared, &spec(), false);
            hold.lose(reason);
            let end = hold.release().unwrap().wait().await;
            assert!(matches!(end, ReleaseEnd::Lost(lost) if lost == reason), "{end:?}");
            let sent = if is_quorum { vec![0] } else { vec![] };
            assert_eq!(backend.released(began), sent, "{reason:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_acquire_is_waited_for_after_the_release_of_a_doubtful_hold_only() {
    let answers = || Scripted::default().releases((0..40).map(|_| (AT_ONCE, Ok(Released::Missing))));
    assert_eq!(ended(answers(), &spec(), false).await.1, [0]);
    let long = [
        0, 0, 50, 150, 350, 750, 1_550, 2_550, 3_550, 4_550, 5_550, 6_550, 7_550, 8_550, 9_550, 10_550,
    ];
    assert_eq!(ended(answers(), &spec(), true).await.1, long);
    let short = Spec::fail().ttl(Duration::from_secs(2)).never_renew();
    assert_eq!(
        ended(answers(), &short, true).await.1,
        [0, 0, 50, 150, 350, 750, 1_550, 2_550]
    );
    // What keeps the lock for longer must not be deleted.
    let least = spec().hold_at_least(Duration::from_secs(30));
    assert_eq!(ended(answers(), &least, true).await.1, [0]);
    assert_eq!(ended(answers(), &least, false).await.1, [0]);
}

/// Clears up after an acquire; when the deletions were sent.
async fn cleared(answers: Vec<crate::scripted::Answer<Released>>, ttl: Duration, unknown: bool) -> Vec<u128> {
    let (backend, shared) = Scripted::default().releases(answers).shared();
    let timeline = shared.timeline(&crate::Key::from("k")).unwrap();
    let began = Instant::now();
    let behind = if unknown { Behind::Lost } else { Behind::Route(0) };
    clear_up(&shared, &timeline, claim("token"), ttl, behind);
    sleep(LONG).await;
    assert_eq!(shared.releases.len(), 0, "something still goes on");
    backend.released(began)
}

#[tokio::test(start_paused = true)]
async fn clearing_up_goes_on_until_there_is_an_answer_or_the_ttl_is_over() {
    let failures = || vec![(AT_ONCE, unsent()), (AT_ONCE, unsent()), (AT_ONCE, Ok(Released::Done))];
    assert_eq!(cleared(failures(), TTL, false).await, [0, 50, 150]);
    let second = Duration::from_secs(1);
    assert_eq!(cleared(Vec::new(), second * 3, false).await, [0, 1_050, 2_150]);
    let missing = || vec![(AT_ONCE, Ok(Released::Missing))];
    assert_eq!(cleared(missing(), TTL, false).await, [0]);
    // Ten seconds after the first answer, whatever comes after it.
    let last = *cleared(missing(), TTL, true).await.last().unwrap();
    assert!((9_000..11_000).contains(&last), "{last}");
}

#[tokio::test(start_paused = true)]
async fn the_last_call_of_a_shutdown_is_one_more_deletion() {
    let answers = (0..40).map(|_| (AT_ONCE, Ok(Released::Missing)));
    let (backend, shared) = Scripted::default().releases(answers).shared();
    let timeline = shared.timeline(&crate::Key::from("k")).unwrap();
    let began = Instant::now();
    clear_up(&shared, &timeline, claim("token"), TTL, Behind::Lost);
    sleep(ms(2_000)).await;
    crate::shutdown::shutdown(&shared, LONG).await;
    assert_eq!(
        began.elapsed(),
        ms(3_500),
        "1.5 s, and the deletion is answered at once"
    );
    sleep(LONG).await;
    assert_eq!(backend.released(began), [0, 50, 150, 350, 750, 1_550, 2_550, 3_500]);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_without_lost_answers_waits_for_nothing() {
    let answers = [(AT_ONCE, Ok(Released::Done))];
    let (backend, shared) = Scripted::default().releases(answers).shared();
    let began = Instant::now();
    let held = hold(&shared, &spec(), false);
    crate::shutdown::shutdown(&shared, ms(300)).await;
    // The body is not dropped, so it is released over its head.
    assert_eq!((began.elapsed(), backend.released(began)), (ms(800), vec![800]));
    assert_eq!(held.lost_reason(), Some(LostReason::Shutdown));
    let began = Instant::now();
    crate::shutdown::shutdown(&shared, LONG).await;
    assert_eq!(began.elapsed(), AT_ONCE);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_two_seconds_for_a_server_that_hangs() {
    let (_, shared) = Scripted::default().shared();
    let held = hold(&shared, &spec(), false);
    drop(held.release());
    let began = Instant::now();
    crate::shutdown::shutdown(&shared, LONG).await;
    assert_eq!(began.elapsed(), ms(2_000));
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_overtook_the_release_is_undone_where_it_may_have_armed_the_lock_anew() {
    for (spec, sent) in [(spec(), vec![]), (spec().hold_at_least(ms(10)), vec![1_000, 2_050])] {
        let backend = Scripted::default().releases([(ms(2_000), unknown()), (AT_ONCE, Ok(Released::Done))]);
        let (backend, shared) = backend.shared();
        let began = Instant::now();
        let hold = hold(&shared, &spec, false);
        sleep(ms(1_000)).await;
        after_late_renewal(&hold);
        sleep(LONG).await;
        assert_eq!(backend.released(began), sent);
    }
}

#[test]
fn an_error_says_what_is_wrong_with_the_lock() {
    let key = crate::Key::from("k");
    for (kind, is_type) in [
        (FailureKind::WrongType, true),
        (FailureKind::Transient, false),
        (FailureKind::Permanent, false),
    ] {
        let error = unavailable(&key, failed::<Acquired>(kind, Applied::No).unwrap_err());
        assert_eq!(matches!(error, LockError::WrongType { .. }), is_type, "{error:?}");
        assert_eq!(error.is_unavailable(), !is_type, "{error:?}");
    }
}
