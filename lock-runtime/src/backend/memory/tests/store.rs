//! Who holds a lock in this process, and who gets it next.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use super::super::line::{Applicant, Turn};
use super::*;
use crate::Key;

const TTL: Duration = Duration::from_secs(1);
const CLOCK: Clock = Clock::Real;

fn at(millis: u64) -> Moment {
    Moment::from_nanos(millis * 1_000_000)
}

fn claim(token: u128) -> Claim {
    Claim {
        key: Key::from("k"),
        value: Value {
            token: Uuid::from_u128(token),
            owner: None,
        },
    }
}

fn owner() -> Arc<str> {
    "owner".into()
}

/// Counts how often it was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// One who waits, and how often it was woken.
struct Waiter {
    applicant: Applicant,
    woken: Arc<Woken>,
}

impl Waiter {
    fn new(token: u128, ttl: Duration, over: Moment) -> Self {
        Self {
            applicant: Applicant::new(&claim(token), ttl, CLOCK, over),
            woken: Arc::default(),
        }
    }

    fn looks(&mut self, store: &Store, now: Moment) -> Turn {
        store.wait("k", &owner(), &mut self.applicant, now, &Arc::clone(&self.woken).into())
    }

    fn woken(&self) -> usize {
        self.woken.0.load(Ordering::Relaxed)
    }
}

fn holds(turn: &Turn) -> bool {
    matches!(turn, Turn::Granted(_))
}

fn granted(store: &Store, token: u128, now: Moment) -> bool {
    matches!(
        store.acquire(&claim(token), &owner(), TTL, CLOCK, now),
        Acquired::Granted(_)
    )
}

fn release(store: &Store, token: u128, now: Moment) -> Released {
    store.release(&claim(token), Leave::Nothing, CLOCK, || now)
}

#[test]
fn a_second_claim_is_busy_until_the_first_is_released() {
    let store = Store::default();
    assert!(granted(&store, 1, at(0)));
    assert_eq!(
        store.acquire(&claim(2), &owner(), TTL, CLOCK, at(0)),
        Acquired::Busy(Some(TTL))
    );
    assert_eq!(release(&store, 2, at(0)), Released::Taken);
    assert_eq!(release(&store, 1, at(0)), Released::Done);
    assert_eq!(release(&store, 1, at(0)), Released::Missing);
    assert!(granted(&store, 2, at(0)));
}

#[test]
fn the_same_claim_sent_twice_is_granted_twice_with_growing_fences() {
    let store = Store::default();
    let mut fences = (0..2).map(|_| match store.acquire(&claim(1), &owner(), TTL, CLOCK, at(0)) {
        Acquired::Granted(fence) => fence,
        Acquired::Busy(_) => panic!("both must be granted"),
    });
    assert!(fences.next() < fences.next());
}

#[test]
fn a_renewal_never_creates_a_key() {
    let store = Store::default();
    assert!(granted(&store, 1, at(0)));
    assert_eq!(store.renew(&claim(1), TTL, at(999)), Renewed::Extended);
    assert_eq!(store.renew(&claim(2), TTL, at(999)), Renewed::Taken);
    assert_eq!(store.renew(&claim(1), TTL, at(1_999)), Renewed::Missing);
    assert_eq!(store.inspect("k", at(1_999)), None);
}

#[test]
fn holders_that_died_do_not_pile_up() {
    let store = Store::default();
    for number in 0..10_000_u64 {
        let claim = Claim {
            key: Key::from(number.to_string()),
            ..claim(1)
        };
        store.acquire(&claim, &owner(), TTL, CLOCK, at(number * 1_000));
    }
    assert!(store.tables().locks.len() <= KEPT);
}

#[test]
fn who_releases_gives_the_lock_to_the_first_in_line() {
    let store = Store::default();
    assert!(granted(&store, 1, at(0)));
    let mut waiters = [2, 3, 4].map(|token| Waiter::new(token, TTL, at(5_000)));
    for waiter in &mut waiters {
        // It looks again when the holder's time is over.
        assert_eq!(waiter.looks(&store, at(1)), Turn::Waits(at(1_000)));
    }
    let [mut first, mut second, third] = waiters;
    assert_eq!(release(&store, 1, at(2)), Released::Done);
    assert_eq!([first.woken(), second.woken(), third.woken()], [1, 0, 0]);
    assert!(!granted(&store, 5, at(2)), "it is another one's turn");
    assert_eq!(second.looks(&store, at(3)), Turn::Waits(at(1_002)));
    assert!(holds(&first.looks(&store, at(4))));
    assert_eq!(release(&store, 2, at(5)), Released::Done);
    assert!(holds(&second.looks(&store, at(6))));
}

#[test]
fn fences_grow_from_hand_to_hand() {
    let store = Store::default();
    let Acquired::Granted(mut last) = store.acquire(&claim(1), &owner(), TTL, CLOCK, at(0)) else {
        panic!("it is free");
    };
    for token in 1..20 {
        let mut next = Waiter::new(token + 1, TTL, at(5_000));
        next.looks(&store, at(0));
        release(&store, token, at(0));
        let Turn::Granted(fence) = next.looks(&store, at(0)) else {
            panic!("it is its turn");
        };
        assert!(last < fence);
        last = fence;
    }
}

#[test]
fn a_holder_that_died_is_followed_by_the_first_in_line_whoever_looks() {
    for newcomer in [false, true] {
        let store = Store::default();
        assert!(granted(&store, 1, at(0)));
        let [mut first, mut second] = [2, 3].map(|token| Waiter::new(token, TTL, at(5_000)));
        first.looks(&store, at(0));
        second.looks(&store, at(0));
        if newcomer {
            assert!(!granted(&store, 4, at(1_000)));
        } else {
            assert_eq!(second.looks(&store, at(1_000)), Turn::Waits(at(2_000)));
        }
        assert_eq!(first.woken(), 1);
        assert!(holds(&first.looks(&store, at(1_001))));
    }
}

#[test]
fn the_first_in_line_takes_over_by_itself() {
    let store = Store::default();
    assert!(granted(&store, 1, at(0)));
    let mut first = Waiter::new(2, TTL, at(5_000));
    first.looks(&store, at(0));
    assert!(holds(&first.looks(&store, at(1_000))));
    let mut last = Waiter::new(3, TTL, at(1_500));
    assert_eq!(
        last.looks(&store, at(1_000)),
        Turn::Waits(at(1_500)),
        "it gives up then"
    );
}

#[test]
fn who_leaves_makes_room_and_passes_on_what_it_was_given() {
    let store = Store::default();
    assert!(granted(&store, 1, at(0)));
    let [mut first, mut second, mut third] = [2, 3, 4].map(|token| Waiter::new(token, TTL, at(5_000)));
    for waiter in [&mut first, &mut second, &mut third] {
        waiter.looks(&store, at(0));
    }
    store.leave("k", &mut second.applicant, at(0));
    release(&store, 1, at(1));
    store.leave("k", &mut first.applicant, at(2));
    store.leave("k", &mut first.applicant, at(2));
    assert_eq!([first.woken(), second.woken(), third.woken()], [1, 0, 1]);
    assert!(holds(&third.looks(&store, at(3))));
    store.leave("k", &mut third.applicant, at(3));
    assert!(
        !granted(&store, 5, at(3)),
        "a hold that was taken notice of is no place in the line"
    );
    assert_eq!(release(&store, 4, at(4)), Released::Done);
    assert!(granted(&store, 5, at(4)));
}

#[test]
fn who_would_look_too_late_is_told_of_a_shorter_lease() {
    let store = Store::default();
    assert!(granted(&store, 1, at(0)));
    let mut short = Waiter::new(2, TTL / 10, at(5_000));
    let mut next = Waiter::new(3, TTL, at(5_000));
    for waiter in [&mut short, &mut next] {
        waiter.looks(&store, at(0));
    }
    release(&store, 1, at(1));
    assert_eq!([short.woken(), next.woken()], [1, 1]);
    assert_eq!(next.looks(&store, at(2)), Turn::Waits(at(101)));
    // And of one that ends earlier than was known.
    assert_eq!(
        store.release(&claim(2), Leave::TakenFor(TTL / 100), CLOCK, || at(3)),
        Released::Done
    );
    assert_eq!(next.woken(), 2);
    assert_eq!(next.looks(&store, at(3)), Turn::Waits(at(13)));
    assert!(holds(&next.looks(&store, at(13))));
}

#[test]
fn an_operator_frees_a_lock_for_the_first_in_line() {
    let store = Store::default();
    assert!(!store.force_release("k", CLOCK, at(0)));
    assert!(granted(&store, 1, at(0)));
    let mut first = Waiter::new(2, TTL, at(5_000));
    first.looks(&store, at(0));
    assert!(store.force_release("k", CLOCK, at(1)));
    assert!(holds(&first.looks(&store, at(1))));
    assert_eq!(store.renew(&claim(1), TTL, at(1)), Renewed::Taken);
}

#[test]
fn whose_lease_ran_out_before_it_was_noticed_waits_again() {
    let store = Store::default();
    assert!(granted(&store, 1, at(0)));
    let [mut first, mut second] = [2, 3].map(|token| Waiter::new(token, TTL, at(5_000)));
    first.looks(&store, at(0));
    second.looks(&store, at(0));
    release(&store, 1, at(0));
    assert!(holds(&second.looks(&store, at(1_000))));
    assert_eq!(first.looks(&store, at(1_001)), Turn::Waits(at(2_000)));
    release(&store, 3, at(1_002));
    assert!(holds(&first.looks(&store, at(1_003))));
}

#[test]
fn a_lease_counts_from_when_its_holder_notices_it() {
    let store = Store::default();
    assert!(granted(&store, 1, at(0)));
    let [mut first, mut second] = [2, 3].map(|token| Waiter::new(token, TTL, at(9_000)));
    first.looks(&store, at(0));
    second.looks(&store, at(0));
    release(&store, 1, at(500));
    assert!(holds(&first.looks(&store, at(1_000))));
    assert_eq!(second.looks(&store, at(1_500)), Turn::Waits(at(2_000)));
    // Its time was over, and nobody has taken it over.
    release(&store, 2, at(1_600));
    assert!(holds(&second.looks(&store, at(2_700))));
    assert!(!granted(&store, 4, at(3_699)) && granted(&store, 4, at(3_700)));
}

#[test]
fn who_waits_behind_a_clock_that_is_behind_is_told_of_it() {
    let store = Store::default();
    assert!(granted(&store, 1, at(5_000)));
    let [mut first, mut second] = [2, 3].map(|token| Waiter::new(token, TTL, at(90_000)));
    first.looks(&store, at(5_000));
    second.looks(&store, at(5_000));
    release(&store, 1, at(5_500));
    assert_eq!(second.looks(&store, at(5_500)), Turn::Waits(at(6_500)));
    assert!(holds(&first.looks(&store, at(1_000))));
    assert_eq!(second.woken(), 1);
}

#[test]
fn who_takes_a_lock_that_was_taken_from_it_has_no_place_in_the_line_any_more() {
    let store = Store::default();
    assert!(granted(&store, 1, at(0)));
    let mut first = Waiter::new(2, TTL, at(5_000));
    first.looks(&store, at(0));
    release(&store, 1, at(1));
    assert!(store.force_release("k", CLOCK, at(2)));
    assert!(holds(&first.looks(&store, at(3))));
    store.leave("k", &mut first.applicant, at(4));
    assert_eq!(release(&store, 2, at(5)), Released::Done);
}
