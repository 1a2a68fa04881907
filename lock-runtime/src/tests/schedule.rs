//! Who is looked at when, and who is told of it; on the test's own clock.

use std::task::Wake;
use std::time::Duration;

use futures_util::FutureExt;

use super::*;
use crate::LostReason;
use crate::clock::Clock;
use crate::scripted::{self, Scripted};
use crate::terms::Spec;

const SECOND: Duration = Duration::from_secs(1);

/// A hold that wants to be looked at after so long, but for the drift.
fn due_in(time: Duration) -> Arc<Hold> {
    let (_, shared) = Scripted::default().shared();
    scripted::unwatched(&shared, &Spec::fail().ttl(time).never_renew(), false)
}

fn now() -> Moment {
    Clock::Paused.now()
}

fn was_told(schedule: &Schedule) -> bool {
    schedule.changed().now_or_never().is_some()
}

#[tokio::test(start_paused = true)]
async fn the_first_hold_starts_a_driver_and_the_next_one_only_when_it_is_gone() {
    let schedule = Schedule::default();
    assert!(schedule.insert(&due_in(SECOND)));
    assert!(!schedule.insert(&due_in(SECOND)));
    schedule.undriven();
    assert!(schedule.insert(&due_in(SECOND)));
    assert_eq!(schedule.holds().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_takes_the_place_of_another_is_told_of_the_next_hold() {
    let schedule = Schedule::default();
    assert!(schedule.insert(&due_in(SECOND)));
    schedule.next_look(now());
    assert!(was_told(&schedule));
    schedule.undriven();
    assert!(schedule.insert(&due_in(SECOND * 2)));
    assert!(was_told(&schedule), "nobody looks at any moment any more");
}

#[tokio::test(start_paused = true)]
async fn the_next_look_is_at_the_first_moment_of_all_and_not_put_off() {
    let schedule = Schedule::default();
    assert_eq!(schedule.next_look(now()), Moment::NEVER);
    let (early, late) = (due_in(SECOND), due_in(SECOND * 2));
    for hold in [&late, &early] {
        let _: bool = schedule.insert(hold);
    }
    assert_eq!(schedule.next_look(now()), early.next_event());
    schedule.remove(&early);
    assert_eq!(
        schedule.next_look(now()),
        early.next_event(),
        "or each short hold would wake the driver"
    );
    assert_eq!(schedule.next_look(early.next_event()), late.next_event());
    late.lose(LostReason::Taken);
    schedule.update([&late]);
    assert_eq!(schedule.next_look(late.next_event()), Moment::NEVER);
    schedule.remove(&late);
    assert!(schedule.holds().is_empty());
    // Late, and without effect.
    schedule.update([&early]);
    assert_eq!(schedule.next_look(now()), Moment::NEVER);
}

#[tokio::test(start_paused = true)]
async fn short_holds_wake_the_driver_once() {
    let schedule = Schedule::default();
    for round in 0..100 {
        let short = due_in(SECOND);
        let _: bool = schedule.insert(&short);
        assert_eq!(was_told(&schedule), round == 0);
        schedule.remove(&short);
        schedule.take_due(now());
        assert_eq!(schedule.next_look(now()).since(now()), short.next_event().since(now()));
    }
}

/// Counts how often it was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(start_paused = true)]
async fn an_alarm_rings_at_its_moment_once_and_not_when_it_was_taken_back() {
    let schedule = Schedule::default();
    let [one, other, third] = [(); 3].map(|()| Arc::<Woken>::default());
    let woken = || [&one, &other, &third].map(|woken| woken.0.load(Ordering::Relaxed));
    let waker = |woken: &Arc<Woken>| Waker::from(Arc::clone(woken));
    let at = |millis| now().plus(Duration::from_millis(millis));
    let (first, undriven) = schedule.alarm(None, at(10), &waker(&one));
    assert!(undriven && was_told(&schedule));
    let (second, undriven) = schedule.alarm(None, at(20), &waker(&other));
    assert!(!undriven && !was_told(&schedule));
    let (gone, _) = schedule.alarm(None, at(10), &waker(&third));
    schedule.disarm(gone);
    assert_eq!(schedule.next_look(now()), at(10));
    schedule.ring(at(9));
    assert_eq!(woken(), [0, 0, 0]);
    schedule.ring(at(10));
    schedule.ring(at(10));
    assert_eq!(woken(), [1, 0, 0]);
    assert_eq!(schedule.alarm(Some(first), at(30), &waker(&one)), (first, false));
    assert_eq!(schedule.next_look(at(10)), at(20));
    schedule.ring_all();
    assert_eq!(woken(), [2, 1, 0], "there is something new");
    schedule.ring(at(30));
    assert_eq!(woken(), [3, 2, 0]);
    schedule.disarm(first);
    schedule.disarm(second);
    assert_eq!(schedule.next_look(at(30)), Moment::NEVER);
}

#[tokio::test(start_paused = true)]
async fn what_is_due_is_taken_out_once_and_at_its_moment() {
    let schedule = Schedule::default();
    let hold = due_in(SECOND);
    let _: bool = schedule.insert(&hold);
    let at = hold.next_event();
    assert!(schedule.take_due(Moment::from_nanos(at.as_nanos() - 1)).is_empty());
    let due = schedule.take_due(at);
    assert_eq!(due.iter().map(|hold| hold.id).collect::<Vec<_>>(), [hold.id]);
    assert!(schedule.take_due(at).is_empty());
    assert_eq!(schedule.next_look(at), Moment::NEVER);
    assert_eq!(schedule.holds().len(), 1, "it has not ended");
    schedule.update([&hold]);
    assert_eq!(schedule.take_due(at).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn only_what_is_earlier_than_the_next_look_is_told() {
    let schedule = Schedule::default();
    let second = due_in(SECOND);
    let _: bool = schedule.insert(&second);
    assert!(was_told(&schedule), "the driver slept for ever");
    schedule.next_look(now());
    for (time, told) in [
        (SECOND * 2, false),
        (SECOND, false),
        (SECOND / 2, true),
        (SECOND / 2, false),
    ] {
        let _: bool = schedule.insert(&due_in(time));
        assert_eq!(was_told(&schedule), told, "{time:?}");
    }
    schedule.next_look(now());
    schedule.remove(&second);
    assert!(!was_told(&schedule), "a short hold wakes nobody");
}

#[tokio::test(start_paused = true)]
async fn who_is_hurried_is_due_now() {
    let schedule = Schedule::default();
    let (_, shared) = Scripted::default().shared();
    let renewed = scripted::unwatched(&shared, &Spec::fail(), false);
    for hold in [&renewed, &due_in(SECOND)] {
        let _: bool = schedule.insert(hold);
    }
    schedule.next_look(now());
    assert!(was_told(&schedule));
    schedule.hurry(now());
    assert!(was_told(&schedule));
    let due = schedule.take_due(now());
    assert_eq!(due.iter().map(|hold| hold.id).collect::<Vec<_>>(), [renewed.id]);
}

#[tokio::test(start_paused = true)]
async fn who_is_stopped_is_told() {
    let schedule = Schedule::default();
    assert!(!schedule.is_stopped());
    schedule.stop();
    assert!(schedule.is_stopped() && was_told(&schedule));
}
