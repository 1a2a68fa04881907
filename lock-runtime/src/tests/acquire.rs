//! When an acquire is tried again, for how long, and what is cleared up behind it; on the test's own clock.

use std::sync::atomic::Ordering;

use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::Fence;
use crate::backend::{Acquired, Leave};
use crate::scripted::{AT_ONCE, Asked, Scripted, failed, ms, unknown, unsent};
use crate::terms::{DEFAULT_TTL, DEFAULT_WAIT, Spec};

/// Longer than anything goes on in the background.
const LONG: Duration = Duration::from_secs(100);
const BUSY: Acquired = Acquired::Busy(None);

fn granted() -> Acquired {
    Acquired::Granted(Fence::from(7))
}

/// A call that waits so long for other holders, and looks again so rarely that only something else can wake it.
fn waiting(wait: Duration) -> Spec {
    Spec::retry().wait(wait).backoff(LONG, LONG)
}

async fn acquired(shared: &Arc<Shared>, spec: &Spec) -> Result<Ownership, LockError> {
    let key = Key::from("k");
    let terms = Terms::new(spec, DEFAULT_TTL, DEFAULT_WAIT, &key).unwrap();
    acquire(shared, key, terms).await
}

/// One call: its outcome, how long it took, and when its requests were sent.
async fn called(backend: Scripted, spec: &Spec) -> (Result<(), LockError>, Duration, Vec<u128>) {
    let (backend, shared) = backend.shared();
    let began = Instant::now();
    let outcome = acquired(&shared, spec).await.map(drop);
    (outcome, began.elapsed(), backend.acquired(began))
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_nobody_tries_again_only_to_learn_what_became_of_its_request() {
    let never_sent = Scripted::default().acquires([(AT_ONCE, unsent()), (AT_ONCE, Ok(granted()))]);
    let (outcome, took, sent) = called(never_sent, &Spec::fail()).await;
    assert!(outcome.unwrap_err().is_unavailable());
    assert_eq!((took, sent), (AT_ONCE, vec![0]));

    let lost = Scripted::default().acquires([(AT_ONCE, unknown()), (AT_ONCE, Ok(granted()))]);
    let (outcome, _, sent) = called(lost, &Spec::fail()).await;
    outcome.unwrap();
    assert_eq!(sent, [0, 10]);

    let (outcome, took, sent) = called(Scripted::default().acquires([(AT_ONCE, Ok(BUSY))]), &Spec::fail()).await;
    assert!(outcome.unwrap_err().is_conflict());
    assert_eq!((took, sent), (AT_ONCE, vec![0]));
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_for_good_is_not_tried_again() {
    for kind in [FailureKind::Permanent, FailureKind::WrongType] {
        for applied in [Applied::No, Applied::Unknown] {
            for spec in [Spec::fail(), waiting(LONG)] {
                let refused = Scripted::default().acquires([(AT_ONCE, failed(kind, applied))]);
                let (outcome, _, sent) = called(refused, &spec).await;
                assert!(!outcome.unwrap_err().is_conflict());
                assert_eq!(sent, [0], "{kind:?} {applied:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_hangs_is_given_four_seconds_or_what_the_call_waits() {
    let (outcome, took, sent) = called(Scripted::default(), &Spec::fail()).await;
    assert!(outcome.unwrap_err().is_unavailable());
    assert_eq!((took, sent.len()), (Duration::from_secs(4), 4));
    let (outcome, took, _) = called(Scripted::default(), &waiting(ms(200))).await;
    assert!(outcome.unwrap_err().is_unavailable());
    assert_eq!(took, ms(900), "its wait and the time for an answer");
}

#[tokio::test(start_paused = true)]
async fn who_waits_tries_a_backend_that_is_out_of_reach_until_the_wait_is_over() {
    let down = Scripted::default().acquires((0..1_000).map(|_| (AT_ONCE, unsent())));
    let (outcome, took, sent) = called(down, &waiting(ms(2_000))).await;
    assert!(outcome.unwrap_err().is_unavailable());
    assert_eq!(took, ms(2_000));
    assert!(sent.len() > 5, "{sent:?}");
    let comes_back = Scripted::default().acquires([(AT_ONCE, unsent()), (AT_ONCE, Ok(granted()))]);
    let (outcome, _, sent) = called(comes_back, &waiting(ms(2_000))).await;
    outcome.unwrap();
    assert_eq!(sent, [0, 10]);
}

#[tokio::test(start_paused = true)]
async fn who_waits_looks_again_when_the_holder_s_time_is_over() {
    let busy = |left| (AT_ONCE, Ok(Acquired::Busy(Some(ms(left)))));
    let backend = Scripted::default().acquires([busy(3_000), busy(3_009), busy(100), (AT_ONCE, Ok(granted()))]);
    let (backend, shared) = backend.shared();
    let began = Instant::now();
    acquired(&shared, &waiting(LONG)).await.map(drop).unwrap();
    // Its own try, and once more when it stands in line. Servers count whole milliseconds.
    assert_eq!(backend.acquired(began), [0, 0, 3_010, 3_110]);
    assert_eq!(backend.wakeups.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_on_time() {
    let busy = Scripted::default().acquires((0..9).map(|_| (AT_ONCE, Ok(BUSY))));
    let (outcome, took, sent) = called(busy, &waiting(ms(1_200))).await;
    assert!(outcome.unwrap_err().is_conflict());
    assert_eq!((took, sent), (ms(1_200), vec![0, 0, 1_200]));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_panics_is_no_refusal_unless_there_is_a_shutdown() {
    let (backend, shared) = Scripted::default().shared();
    backend.panics.store(1, Ordering::Relaxed);
    let error = acquired(&shared, &Spec::fail()).await.map(drop).unwrap_err();
    assert!(matches!(error, LockError::Unavailable { .. }), "{error:?}");
    backend.panics.store(1, Ordering::Relaxed);
    let error = closed_in_between(&shared).await.map(drop).unwrap_err();
    assert!(matches!(error, LockError::ShutDown { .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_grant_that_comes_at_its_own_deadline_is_none() {
    // 100 ms without their drift are 97.
    let spec = Spec::fail().ttl(ms(100)).never_renew();
    let answers = |after| Scripted::default().acquires([(ms(after), Ok(granted())), (AT_ONCE, Ok(granted()))]);
    let (outcome, took, _) = called(answers(96), &spec).await;
    outcome.unwrap();
    assert_eq!(took, ms(96));
    let (backend, shared) = answers(97).shared();
    let ownership = acquired(&shared, &spec).await.unwrap();
    assert_eq!(backend.asked().len(), 2, "the second one counts");
    assert!(ownership.hold().doubtful);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_on_one_server_keeps_its_token_and_on_a_majority_takes_another() {
    for is_quorum in [false, true] {
        let backend = Scripted::default().with_quorum(is_quorum);
        let (backend, shared) = backend
            .acquires([(AT_ONCE, unknown()), (AT_ONCE, Ok(granted()))])
            .shared();
        let ownership = acquired(&shared, &Spec::fail()).await.unwrap();
        let [Asked::Acquire(first), Asked::Acquire(second)] = &backend.asked()[..] else {
            panic!("{:?}", backend.asked());
        };
        assert_eq!(first == second, !is_quorum);
        assert_eq!(*second, ownership.hold().claim.value.text());
        assert!(second.ends_with(" owner"));
        // A majority takes back its attempts, and clears up, by itself.
        assert_eq!(ownership.hold().doubtful, !is_quorum);
    }
}

/// Gives a call up after `patience`; how many deletions it leads to.
async fn given_up(backend: Scripted, spec: &Spec, patience: Duration, other_route: bool) -> usize {
    let deletions = (0..50).map(|_| (AT_ONCE, Ok(crate::backend::Released::Missing)));
    let (backend, shared) = backend.releases(deletions).shared();
    assert!(timeout(patience, acquired(&shared, spec)).await.is_err());
    if other_route {
        backend.route.store(1, Ordering::Relaxed);
    }
    sleep(LONG).await;
    assert_eq!((shared.held.len(), shared.releases.len()), (0, 0));
    let asked = backend.asked();
    asked
        .iter()
        .filter(|asked| **asked == Asked::Release(Leave::Nothing))
        .count()
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_under_way_is_deleted_once_behind_it() {
    assert_eq!(given_up(Scripted::default(), &Spec::fail(), ms(100), false).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_on_another_route_is_waited_for() {
    let deletions = given_up(Scripted::default(), &Spec::fail(), ms(100), true).await;
    assert!(deletions > 10, "{deletions}");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_waited_for_and_a_definite_one_is_not() {
    let lost = Scripted::default().acquires([(AT_ONCE, unknown()), (AT_ONCE, Ok(BUSY))]);
    let deletions = given_up(lost, &waiting(LONG), ms(100), false).await;
    assert!(deletions > 10, "{deletions}");
    for answer in [Ok(BUSY), unsent()] {
        let known = Scripted::default().acquires([(AT_ONCE, answer), (AT_ONCE, Ok(BUSY)), (AT_ONCE, Ok(BUSY))]);
        assert_eq!(given_up(known, &waiting(LONG), ms(100), false).await, 0);
    }
    let majority = Scripted::default().with_quorum(true);
    let majority = majority.acquires([(AT_ONCE, unknown()), (AT_ONCE, Ok(BUSY))]);
    assert_eq!(given_up(majority, &waiting(LONG), ms(100), false).await, 0);
}

/// A call that waits, and after a tenth of a second a shutdown.
async fn closed_in_between(shared: &Arc<Shared>) -> Result<Ownership, LockError> {
    let spec = waiting(LONG);
    let closing = async {
        sleep(ms(100)).await;
        shared.present.close();
        shared.closing.cancel();
    };
    tokio::join!(acquired(shared, &spec), closing).0
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_a_wait_and_what_it_gets_is_given_back() {
    let (_, shared) = Scripted::default().acquires([(AT_ONCE, Ok(BUSY))]).shared();
    let outcome = closed_in_between(&shared).await;
    assert!(matches!(outcome.map(drop), Err(LockError::ShutDown { key: Some(_) })));

    let (backend, shared) = Scripted::default().acquires([(ms(300), Ok(granted()))]).shared();
    let outcome = closed_in_between(&shared).await;
    assert!(matches!(outcome.map(drop), Err(LockError::ShutDown { key: Some(_) })));
    sleep(ms(1)).await;
    assert_eq!(backend.asked().last(), Some(&Asked::Release(Leave::Nothing)));
    let before = backend.asked().len();
    assert!(matches!(
        acquired(&shared, &Spec::fail()).await.map(drop),
        Err(LockError::ShutDown { key: Some(_) })
    ));
    assert_eq!(backend.asked().len(), before, "nothing is asked for");
}
