//! Requests that arrive when their manager was shut down: what the judge allows, and that it is no more than that.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

use std::time::Duration;

use lock_runtime::LockManager;
use lock_sim::observer::Observer;
use lock_sim::plan::{Fault, Kind, Plan};
use lock_sim::run::run_plan;
use lock_sim::server::resp::Reply;
use lock_sim::server::{Server, ServerClock};

const LOCK: &[u8] = b"lock:k0";
const CLAIM: &[u8] = b"token m0";
/// When the shutdown begins, and when a request arrives that its last call has missed.
const BEGAN: Duration = Duration::from_secs(10);
const ARRIVED: Duration = Duration::from_millis(11_700);
/// When everything is over, and looked at.
const END: Duration = Duration::from_secs(12);

const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// A server that has granted the lock to [`CLAIM`].
fn server() -> Server {
    let mut server = Server::new("s1", ServerClock::default());
    server.start(Duration::ZERO);
    let (outbox, _replies) = tokio::sync::mpsc::unbounded_channel();
    let session = server.connect(outbox);
    let set = [b"SET".as_slice(), LOCK, CLAIM, b"PX", b"2000"].map(<[u8]>::to_vec);
    assert_eq!(server.execute(session, &set, ARRIVED), Reply::Status("OK"));
    server
}

/// An observer that was told everything by `tell`, and what it has to say of the lock that is left: how many were
/// allowed, and how many not.
fn judged(tell: impl FnOnce(&mut Observer)) -> (u64, usize) {
    let mut observer = Observer::new(1, false, false);
    tell(&mut observer);
    assert_eq!(observer.violations, Vec::<String>::new());
    observer.nothing_left(&[&server()], Duration::ZERO, END);
    (observer.tally.late, observer.violations.len())
}

const ALLOWED: (u64, usize) = (1, 0);
const WRONG: (u64, usize) = (0, 1);
/// The last call's deletion, as the server carries it out.
const CALLED: Duration = Duration::from_millis(11_510);

#[test]
fn what_arrives_after_the_last_call_is_allowed() {
    let told = judged(|observer| {
        observer.shuts_down(0, BEGAN);
        observer.released(0, LOCK, CLAIM, false, CALLED);
        observer.voted(0, LOCK, CLAIM, 1, ARRIVED);
    });
    assert_eq!(told, ALLOWED);
}

#[test]
fn what_a_shutdown_has_not_deleted_in_the_end_is_wrong() {
    let told = judged(|observer| {
        observer.shuts_down(0, BEGAN);
        observer.released(0, LOCK, CLAIM, false, BEGAN + millis(1_499));
        observer.voted(0, LOCK, CLAIM, 1, ARRIVED);
    });
    assert_eq!(told, WRONG, "it stopped too soon");
    let told = judged(|observer| {
        observer.shuts_down(0, BEGAN);
        observer.voted(0, LOCK, CLAIM, 1, ARRIVED);
    });
    assert_eq!(told, WRONG, "it never deleted it");
}

#[test]
fn what_arrived_before_the_last_call_is_wrong() {
    let told = judged(|observer| {
        observer.shuts_down(0, BEGAN);
        observer.voted(0, LOCK, CLAIM, 1, CALLED - millis(1));
        observer.released(0, LOCK, CLAIM, false, CALLED);
    });
    assert_eq!(told, WRONG);
}

#[test]
fn without_a_shutdown_of_its_own_manager_a_lock_that_is_left_is_wrong() {
    for machine in [None, Some(1)] {
        let told = judged(|observer| {
            if let Some(other) = machine {
                observer.shuts_down(other, BEGAN);
            }
            observer.released(0, LOCK, CLAIM, false, CALLED);
            observer.voted(0, LOCK, CLAIM, 1, ARRIVED);
        });
        assert_eq!(told, WRONG, "{machine:?}");
    }
}

#[test]
fn what_another_server_was_asked_to_delete_does_not_count() {
    let told = judged(|observer| {
        observer.shuts_down(0, BEGAN);
        observer.released(1, LOCK, CLAIM, false, CALLED);
        observer.voted(0, LOCK, CLAIM, 1, ARRIVED);
    });
    assert_eq!(told, WRONG);
}

#[tokio::test]
async fn a_claim_whose_answer_came_is_never_late() {
    let guard = LockManager::in_memory().lock("k0").acquire().await.unwrap();
    let lease = guard.lease().clone();
    let told = judged(|observer| {
        observer.voted(0, LOCK, CLAIM, lease.fence().get(), BEGAN - millis(5));
        let hold = observer.granted(0, &lease, BEGAN - millis(9), BEGAN - millis(1));
        observer.ended(hold, || BEGAN);
        observer.shuts_down(0, BEGAN);
        observer.released(0, LOCK, CLAIM, true, CALLED);
        observer.voted(0, LOCK, CLAIM, lease.fence().get(), ARRIVED);
    });
    assert_eq!(told, WRONG);
}

/// A run in which a link is so slow towards the end that requests arrive when everybody has gone.
fn with_a_slow_end(seed: u64) -> Plan {
    let mut plan = Plan::new(seed, 1);
    plan.beyond = false;
    plan.rates = vec![0];
    plan.chaos = millis(600);
    plan.ttls = vec![Duration::from_secs(4)];
    plan.faults = (0..plan.machines)
        .map(|machine| Fault {
            at: millis(300),
            until: millis(600),
            kind: Kind::Slow(machine, 0, Duration::from_secs(8)),
        })
        .collect();
    plan
}

#[test]
fn a_shutdown_clears_up_behind_late_requests_as_long_as_it_can() {
    let (mut unanswered, mut given_up) = (0, 0);
    for seed in 0..60 {
        let outcome = run_plan(&with_a_slow_end(seed), false);
        assert_eq!(outcome.violations, Vec::<String>::new(), "seed {seed}");
        unanswered += outcome.tally.unavailable;
        given_up += outcome.tally.abandoned;
    }
    // Otherwise there is nothing to clear up behind.
    assert!(unanswered > 20 && given_up > 20, "{unanswered} {given_up}");
}
