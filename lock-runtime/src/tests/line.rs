//! Who asks for those who wait, who is served, and to whom a lease is handed on; on the test's own clock.

mod chain;

use std::sync::Mutex;

use futures_util::FutureExt;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::acquire::acquire;
use crate::backend::{Acquired, Released};
use crate::ownership::Ownership;
use crate::scripted::{AT_ONCE, Asked, Scripted, ms};
use crate::terms::{DEFAULT_TTL, DEFAULT_WAIT, Spec, Terms};
use crate::{Fence, Key, LostReason};

const LONG: Duration = Duration::from_secs(100);
const BUSY: Acquired = Acquired::Busy(None);

/// After a while, in which others come.
fn granted(fence: u64) -> (Duration, Result<Acquired, crate::backend::Failure>) {
    (ms(10), Ok(Acquired::Granted(Fence::from(fence))))
}

/// Waits long, and looks again so rarely that only something else can wake it.
fn spec() -> Spec {
    Spec::retry().wait(LONG).backoff(LONG, LONG)
}

/// A backend that is busy at first, then grants with these fences, and gives as many fences as it is asked for.
fn backend(fences: &[u64]) -> Scripted {
    Scripted::default()
        .with_fences()
        .acquires([(AT_ONCE, Ok(BUSY))])
        .acquires(fences.iter().map(|fence| granted(*fence)))
        .releases((0..99).map(|_| (AT_ONCE, Ok(Released::Done))))
}

async fn acquired(shared: &Arc<Shared>, spec: &Spec) -> Result<Ownership, LockError> {
    let key = Key::from("k");
    let terms = Terms::new(spec, DEFAULT_TTL, DEFAULT_WAIT, &key).unwrap();
    acquire(shared, key, terms).await
}

/// Who got the lock, with which fence, in their order.
type Log = Arc<Mutex<Vec<(usize, u64)>>>;

/// Callers that come one after the other and hold for so long.
async fn callers(shared: &Arc<Shared>, log: &Log, specs: &[Spec], holds: Duration) -> Vec<JoinHandle<()>> {
    let mut callers = Vec::new();
    for (number, spec) in specs.iter().enumerate() {
        let (shared, log, spec) = (Arc::clone(shared), Arc::clone(log), *spec);
        callers.push(tokio::spawn(async move {
            let mut ownership = acquired(&shared, &spec).await.unwrap();
            log.lock().unwrap().push((number, ownership.hold().fence().get()));
            sleep(holds).await;
            if let Some(ending) = ownership.end() {
                ending.wait().await;
            }
        }));
        // It is in line before the next one comes.
        sleep(ms(1)).await;
    }
    callers
}

fn count(asked: &[Asked], which: impl Fn(&Asked) -> bool) -> usize {
    asked.iter().filter(|asked| which(asked)).count()
}

#[tokio::test(start_paused = true)]
async fn one_asks_for_all_and_what_it_is_granted_goes_from_hand_to_hand_in_their_order() {
    let (backend, shared) = backend(&[70]).shared();
    let log = Log::default();
    let callers = callers(&shared, &log, &[spec(), spec(), spec()], ms(5)).await;
    for caller in callers {
        caller.await.unwrap();
    }
    sleep(ms(1)).await;
    assert_eq!(*log.lock().unwrap(), [(0, 70), (1, 71), (2, 72)]);
    let asked = backend.asked();
    // The first caller's own try, and one question for all of them; the lease goes back once.
    assert_eq!(
        count(&asked, |asked| matches!(asked, Asked::Acquire(_))),
        2,
        "{asked:?}"
    );
    assert_eq!(
        count(&asked, |asked| matches!(asked, Asked::Release(_))),
        1,
        "{asked:?}"
    );
    assert_eq!(shared.held.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_handed_on_for_a_tenth_of_a_second() {
    let (backend, shared) = backend(&[70, 700]).shared();
    let log = Log::default();
    let began = Instant::now();
    let callers = callers(&shared, &log, &[spec(), spec(), spec()], ms(60)).await;
    for caller in callers {
        caller.await.unwrap();
    }
    // After the second hold the time is over, and the third one had been asked for anew.
    assert_eq!(*log.lock().unwrap(), [(0, 70), (1, 71), (2, 700)]);
    let times = backend.acquired(began);
    assert_eq!(times.len(), 3, "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn without_hand_over_each_hold_is_asked_for() {
    let (backend, shared) = backend(&[70, 700, 7_000]).shared();
    let mut shared = shared;
    Arc::get_mut(&mut shared).unwrap().hand_over = false;
    let log = Log::default();
    for caller in callers(&shared, &log, &[spec(), spec(), spec()], ms(5)).await {
        caller.await.unwrap();
    }
    assert_eq!(*log.lock().unwrap(), [(0, 70), (1, 700), (2, 7_000)]);
    assert_eq!(count(&backend.asked(), |asked| matches!(asked, Asked::Release(_))), 3);
}

#[tokio::test(start_paused = true)]
async fn who_wants_another_lease_is_handed_none() {
    let others = [spec().never_renew(), spec().ttl(Duration::from_secs(7))];
    for other in others {
        let (_, shared) = backend(&[70, 700, 7_000]).shared();
        let log = Log::default();
        for caller in callers(&shared, &log, &[spec(), other], ms(5)).await {
            caller.await.unwrap();
        }
        let log = log.lock().unwrap();
        assert_eq!((log.len(), log[0]), (2, (0, 70)));
        assert!(log[1].1 >= 700, "{log:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_is_to_stay_taken_is_handed_to_nobody() {
    let (backend, shared) = backend(&[70, 700]).shared();
    let log = Log::default();
    let least = spec().hold_at_least(Duration::from_secs(1));
    for caller in callers(&shared, &log, &[least, spec()], ms(5)).await {
        caller.await.unwrap();
    }
    assert_eq!(*log.lock().unwrap(), [(0, 70), (1, 700)]);
    let stays = |asked: &Asked| matches!(asked, Asked::Release(crate::backend::Leave::TakenFor(_)));
    assert_eq!(count(&backend.asked(), stays), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_is_handed_to_nobody_and_those_behind_are_asked_for_at_once() {
    let (backend, shared) = backend(&[70, 700]).shared();
    let first = tokio::spawn({
        let shared = Arc::clone(&shared);
        async move { acquired(&shared, &spec()).await.unwrap() }
    });
    sleep(ms(1)).await;
    let second = tokio::spawn({
        let shared = Arc::clone(&shared);
        async move { acquired(&shared, &spec()).await.unwrap() }
    });
    sleep(ms(1)).await;
    let first = first.await.unwrap();
    assert!(!second.is_finished());
    // Its body goes on all the same.
    let lost = Instant::now();
    first.hold().lose(LostReason::Missing);
    let second = second.await.unwrap();
    // The question takes 10 ms; the promise would have lasted for a tenth of a second.
    assert!(lost.elapsed() <= ms(11), "{:?}", lost.elapsed());
    assert_eq!(second.hold().fence().get(), 700);
    drop(first);
    sleep(ms(1)).await;
    assert!(second.hold().lost_reason().is_none());
    assert_eq!(count(&backend.asked(), |asked| matches!(asked, Asked::Release(_))), 0);
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_leaves_the_line_and_what_it_is_given_in_that_moment_goes_on() {
    let (backend, shared) = backend(&[70]).shared();
    let log = Log::default();
    let callers = callers(&shared, &log, &[spec(), spec(), spec()], ms(5)).await;
    callers[1].abort();
    for (number, caller) in callers.into_iter().enumerate() {
        assert_eq!(caller.await.is_err(), number == 1);
    }
    assert_eq!(*log.lock().unwrap(), [(0, 70), (2, 71)]);
    sleep(ms(1)).await;
    assert_eq!(count(&backend.asked(), |asked| matches!(asked, Asked::Release(_))), 1);
    assert!(!shared.timeline(&Key::from("k")).unwrap().lines.is_waited_for("k"));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_refuses_all_who_wait() {
    let (_, shared) = backend(&[]).shared();
    let callers: Vec<_> = (0..3)
        .map(|_| {
            let shared = Arc::clone(&shared);
            tokio::spawn(async move { acquired(&shared, &spec()).await.map(drop) })
        })
        .collect();
    sleep(ms(1)).await;
    crate::shutdown::shutdown(&shared, LONG).await;
    for caller in callers {
        let outcome = caller.await.unwrap();
        assert!(
            matches!(outcome, Err(LockError::ShutDown { key: Some(_) })),
            "{outcome:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_over_is_a_conflict_only_after_one_more_answer() {
    // The first answers are "busy"; to the last question there is none.
    let hung = Scripted::default().acquires((0..2).map(|_| (AT_ONCE, Ok(BUSY))));
    let (_, shared) = hung.shared();
    let began = Instant::now();
    let error = acquired(&shared, &spec().wait(ms(2_000))).await.map(drop).unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");
    assert_eq!(began.elapsed(), ms(2_700));
}

#[tokio::test(start_paused = true)]
async fn while_the_first_tries_nobody_else_asks_for_a_tenth_of_a_second() {
    let slow = Scripted::default().acquires([(ms(800), Ok(Acquired::Granted(Fence::from(7))))]);
    let (backend, shared) = slow.shared();
    let callers: Vec<_> = (0..2)
        .map(|_| {
            let shared = Arc::clone(&shared);
            tokio::spawn(async move { acquired(&shared, &spec()).await.map(drop) })
        })
        .collect();
    sleep(ms(90)).await;
    assert_eq!(backend.asked().len(), 1, "{:?}", backend.asked());
    // It takes too long.
    sleep(ms(20)).await;
    assert_eq!(backend.asked().len(), 2, "{:?}", backend.asked());
    callers.iter().for_each(JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn a_first_caller_that_is_not_polled_keeps_nobody_waiting() {
    let (backend, shared) = Scripted::default()
        .acquires([(ms(5), Ok(BUSY)), granted(70), granted(80)])
        .releases([(AT_ONCE, Ok(Released::Done))])
        .shared();
    let asleep = spec();
    let mut asleep = Box::pin(acquired(&shared, &asleep));
    assert!(futures_util::poll!(asleep.as_mut()).is_pending());
    let second = timeout(ms(200), acquired(&shared, &spec())).await.unwrap().unwrap();
    assert_eq!(second.hold().fence().get(), 70);
    drop(second);
    assert_eq!(asleep.await.unwrap().hold().fence().get(), 80, "{:?}", backend.asked());
}

#[tokio::test(start_paused = true)]
async fn who_is_refused_at_the_end_of_its_wait_is_handed_nothing() {
    let (_, shared) = Scripted::default()
        .with_fences()
        .acquires([(AT_ONCE, Ok(BUSY)), (ms(500), Ok(Acquired::Granted(Fence::from(70))))])
        .releases([(AT_ONCE, Ok(Released::Done))])
        .shared();
    let log = Log::default();
    let short = spec().wait(ms(300));
    let more = callers;
    let mut callers = more(&shared, &log, &[spec()], ms(5)).await;
    let refused = tokio::spawn({
        let shared = Arc::clone(&shared);
        async move { acquired(&shared, &short).await.map(drop) }
    });
    sleep(ms(1)).await;
    callers.extend(more(&shared, &log, &[spec()], ms(5)).await);
    for caller in callers {
        caller.await.unwrap();
    }
    assert!(refused.await.unwrap().unwrap_err().is_conflict());
    assert_eq!(
        log.lock().unwrap().iter().map(|(_, fence)| *fence).collect::<Vec<_>>(),
        [70, 71]
    );
}

#[tokio::test(start_paused = true)]
async fn after_a_disturbance_nobody_begins_under_a_lease_that_may_be_gone() {
    let (backend, shared) = backend(&[70, 700]).shared();
    let log = Log::default();
    let callers = callers(&shared, &log, &[spec(), spec()], ms(50)).await;
    sleep(ms(30)).await;
    assert_eq!(*log.lock().unwrap(), [(0, 70)]);
    backend.disturbed.send_modify(|count| *count += 1);
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(*log.lock().unwrap(), [(0, 70), (1, 700)]);
}

#[tokio::test(start_paused = true)]
async fn fences_are_reserved_for_those_who_wait_and_a_few_more() {
    let (backend, shared) = backend(&[70]).shared();
    let log = Log::default();
    let callers = callers(&shared, &log, &[spec(), spec(), spec()], ms(5)).await;
    for caller in callers {
        caller.await.unwrap();
    }
    let fences = backend.fences.lock().unwrap().clone();
    assert_eq!(fences, [5], "one waited when it was asked");
}

/// A subscriber that panics when it hears of a lock that was waited for.
struct Panics;

impl tracing::Subscriber for Panics {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        assert!(span.metadata().name() != "distributed_lock", "the test wants it");
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test(start_paused = true)]
async fn who_is_given_the_lock_has_it_although_a_subscriber_panics() {
    let (_, shared) = backend(&[70]).shared();
    let _listening = tracing::subscriber::set_default(Panics);
    let ownership = acquired(&shared, &spec()).await.unwrap();
    assert_eq!(ownership.hold().fence().get(), 70);
    assert!(shared.timeline(&Key::from("k")).unwrap().holds().len() == 1);
}
