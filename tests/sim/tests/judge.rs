//! The judge knows which of a process's claims became a hold.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

use std::time::Duration;

use lock_runtime::{LockGuard, LockManager};
use lock_sim::observer::Observer;
use lock_sim::server::resp::Reply;
use lock_sim::server::{Server, ServerClock};

const LOCK: &[u8] = b"lock:k0";
/// Two attempts of one process.
const OLD: &[u8] = b"old m0";
const NEW: &[u8] = b"new m0";

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// A server that has given the lock to a claim.
fn server(claim: &[u8]) -> Server {
    stored(LOCK, claim)
}

/// A server with one value.
fn stored(key: &[u8], value: &[u8]) -> Server {
    let mut server = Server::new("s", ServerClock::default());
    server.start(Duration::ZERO);
    let (outbox, _replies) = tokio::sync::mpsc::unbounded_channel();
    let session = server.connect(outbox);
    let set = [b"SET".as_slice(), key, value, b"PX", b"60000"].map(<[u8]>::to_vec);
    assert_eq!(server.execute(session, &set, Duration::ZERO), Reply::Status("OK"));
    server
}

/// Three servers, of which two have `claim`; one hold, of which the observer was told by `tell`. What is wrong.
async fn wrong(claim: &[u8], tell: impl FnOnce(&mut Observer, u64)) -> Vec<String> {
    let guard: LockGuard = LockManager::in_memory().lock("k0").acquire().await.unwrap();
    let mut observer = Observer::new(3, false, false);
    tell(&mut observer, guard.fence().get());
    observer.granted(0, guard.lease(), ms(20), ms(40));
    let servers = [server(claim), server(claim), server(b"somebody else")];
    observer.compare(&servers.each_ref(), ms(41));
    observer.violations
}

/// The first attempt was granted by two servers, and given up; then the third grants it, too.
fn an_old_claim_that_is_granted_late(observer: &mut Observer, fence: u64) {
    observer.voted(0, LOCK, OLD, fence - 9, ms(1));
    observer.voted(1, LOCK, OLD, fence - 8, ms(2));
    observer.released(0, LOCK, OLD, false, ms(10));
    observer.voted(0, LOCK, NEW, fence - 5, ms(22));
    observer.voted(1, LOCK, NEW, fence - 4, ms(24));
    observer.voted(2, LOCK, OLD, fence - 7, ms(30));
}

#[tokio::test]
async fn a_claim_that_was_given_up_is_not_the_hold() {
    assert_eq!(
        wrong(NEW, an_old_claim_that_is_granted_late).await,
        Vec::<String>::new()
    );
    // Nor does anybody else's key do.
    assert_eq!(wrong(OLD, an_old_claim_that_is_granted_late).await.len(), 1);
}

#[tokio::test]
async fn the_claim_whose_votes_lead_to_the_fence_is_the_hold() {
    for (claim, count) in [(NEW, 0), (OLD, 1)] {
        let wrong = wrong(claim, |observer, fence| {
            observer.voted(0, LOCK, NEW, fence - 2, ms(22));
            observer.voted(1, LOCK, NEW, fence - 1, ms(24));
            observer.voted(0, LOCK, OLD, fence - 9, ms(25));
            observer.voted(1, LOCK, OLD, fence - 8, ms(26));
        });
        assert_eq!(wrong.await.len(), count);
    }
}

#[tokio::test]
async fn a_fence_that_no_majority_knows_is_wrong() {
    let guard: LockGuard = LockManager::in_memory().lock("k0").acquire().await.unwrap();
    let fence = guard.fence().get();
    for (counters, count) in [
        ([fence, fence + 1, 0], 0),
        ([fence - 1, fence, 0], 1),
        ([fence - 1, fence - 1, fence - 1], 1),
    ] {
        let mut observer = Observer::new(3, false, false);
        for server in [0, 1] {
            observer.voted(server, LOCK, NEW, fence - 1, ms(22));
        }
        observer.granted(0, guard.lease(), ms(20), ms(40));
        let servers = counters.map(|counter| stored(b"distributed-lock:fence", counter.to_string().as_bytes()));
        observer.count_fences(&servers.each_ref(), ms(41));
        // Once for each hold.
        observer.count_fences(&servers.each_ref(), ms(43));
        assert_eq!(
            observer.violations.len(),
            count,
            "{counters:?}: {:?}",
            observer.violations
        );
    }
}

#[tokio::test]
async fn a_hold_that_no_majority_has_granted_is_wrong() {
    let wrong = wrong(NEW, |observer, fence| {
        observer.voted(0, LOCK, NEW, fence - 2, ms(22));
    });
    assert!(wrong.await.iter().any(|text| text.contains("not granted by enough")));
}
