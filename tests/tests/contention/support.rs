//! What the modules share: times, waiters whose order is known, and a room that only one may be in.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use lock_runtime::{Lease, LockError, LockGuard, LockManager, LockRequest};
use lock_tests::{Fixture, RedisServer, eventually};
use tokio::task::JoinHandle;

/// "At once", with room for a loaded machine.
pub(crate) const SOON: Duration = Duration::from_secs(2);
/// For what only has to happen some time.
pub(crate) const LATE: Duration = Duration::from_secs(30);
/// A ttl that no test lives to see.
pub(crate) const LONG: Duration = Duration::from_secs(600);
/// What the line costs at most when a claim in it is dead.
pub(crate) const DEAD_CLAIM: Duration = Duration::from_secs(2);

pub(crate) const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// What is taken off a ttl for clocks that differ.
pub(crate) fn drift(ttl: Duration) -> Duration {
    ttl / 100 + ms(2)
}

/// Awaits `future`, which must take no longer than `bound`.
pub(crate) async fn within<T>(bound: Duration, what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(bound, future).await {
        Ok(output) => output,
        Err(_) => panic!("not within {bound:?}: {what}"),
    }
}

/// As [`within`], [`SOON`].
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    within(SOON, what, future).await
}

/// The lock that all want, with a long ttl and a long wait, and re-checks so far apart that only a wake-up can be the
/// reason of being on time.
pub(crate) fn job(locks: &LockManager) -> LockRequest {
    let request = locks.lock("job").ttl(LONG).wait(LONG);
    request.backoff(Duration::from_secs(50), Duration::from_secs(55))
}

/// As [`job`], with the re-checks that are the default: half a second apart at most.
pub(crate) fn usual(locks: &LockManager) -> LockRequest {
    locks.lock("job").ttl(LONG).wait(LONG)
}

/// Takes it, which is free.
pub(crate) async fn hold(locks: &LockManager) -> LockGuard {
    soon("a free lock is taken", job(locks).acquire()).await.unwrap()
}

/// A call in a task of its own, which is gone when this is dropped.
pub(crate) struct Waiting(JoinHandle<Result<LockGuard, LockError>>);

impl Future for Waiting {
    type Output = Result<LockGuard, LockError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_unpin(context).map(Result::unwrap)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A call that has asked, and was not answered yet. Those who are made one after the other have asked in that order.
pub(crate) fn ask(request: LockRequest) -> Waiting {
    let mut call = request.acquire().boxed();
    assert!(call.as_mut().now_or_never().is_none(), "the lock is held");
    Waiting(tokio::spawn(call))
}

/// So many processes stand in line for the job.
pub(crate) async fn until_in_line(server: &RedisServer, processes: usize) {
    let claims = processes.to_string();
    eventually(&format!("{claims} processes stand in line"), LATE, async || {
        server.cli(&["LLEN", "distributed-lock:line:lock:job"]) == claims
    })
    .await;
}

/// Calls wait by now: on Redis, so many processes stand in line for them.
pub(crate) async fn until_they_wait(fixture: &Fixture, processes: usize) {
    if let Some(server) = fixture.server() {
        until_in_line(server, processes).await;
    }
}

/// Calls of one process that came one after the other. The first stands in line when the second comes: a process opens
/// its connections with its first call, and that may be overtaken.
pub(crate) async fn ask_all(fixture: &Fixture, requests: impl IntoIterator<Item = LockRequest>) -> VecDeque<Waiting> {
    let mut waiting = VecDeque::new();
    for request in requests {
        waiting.push_back(ask(request));
        if waiting.len() == 1 {
            until_they_wait(fixture, 1).await;
        }
    }
    waiting
}

/// A manager on the same locks that hands leases on, or does not.
pub(crate) async fn manager(fixture: &Fixture, hand_over: bool) -> LockManager {
    fixture.builder().hand_over(hand_over).connect().await.unwrap()
}

/// Uses the lock once and says which keys that leaves: the fence counter.
pub(crate) async fn helper_keys(server: &RedisServer, locks: &LockManager) -> Vec<String> {
    locks.lock("job").run(async {}).await.unwrap();
    let keys = server.keys();
    assert!(keys.len() <= 1, "{keys:?}");
    keys
}

/// Waits until nothing but these keys is left.
pub(crate) async fn until_only(server: &RedisServer, helpers: &[String]) {
    let mut keys = Vec::new();
    let start = Instant::now();
    while start.elapsed() < SOON + DEAD_CLAIM {
        keys = server.keys();
        if keys == helpers {
            return;
        }
        tokio::time::sleep(ms(5)).await;
    }
    panic!("this is left behind: {keys:?}");
}

/// A room that only one may be in; writes down who came, and with which fence.
#[derive(Clone, Default)]
pub(crate) struct Room(Arc<Inside>);

#[derive(Default)]
struct Inside {
    somebody: AtomicBool,
    first_fence: AtomicU64,
    last_fence: AtomicU64,
    visits: Mutex<Vec<usize>>,
}

/// Somebody in the room; leaves when dropped.
pub(crate) struct Visit(Room);

impl Room {
    pub(crate) fn enter(&self, who: usize, lease: &Lease) -> Visit {
        assert!(lease.is_held(), "{who} was let in with {lease:?}");
        assert!(!self.0.somebody.swap(true, Ordering::SeqCst), "{who} is not alone");
        let visit = Visit(self.clone());
        let fence = lease.fence().get();
        let last = self.0.last_fence.swap(fence, Ordering::SeqCst);
        assert!(last < fence, "fence {fence} came after {last}");
        if last == 0 {
            self.0.first_fence.store(fence, Ordering::SeqCst);
        }
        self.0.visits.lock().unwrap().push(who);
        visit
    }

    /// Who came, in order.
    pub(crate) fn visits(&self) -> Vec<usize> {
        self.0.visits.lock().unwrap().clone()
    }

    /// The first fence with which somebody came.
    pub(crate) fn first_fence(&self) -> u64 {
        self.0.first_fence.load(Ordering::SeqCst)
    }

    /// The last fence with which somebody came.
    pub(crate) fn fence(&self) -> u64 {
        self.0.last_fence.load(Ordering::SeqCst)
    }

    /// How often each of so many came.
    pub(crate) fn counts(&self, visitors: usize) -> Vec<usize> {
        let mut counts = vec![0; visitors];
        self.visits().iter().for_each(|who| counts[*who] += 1);
        counts
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.0.0.somebody.store(false, Ordering::SeqCst);
    }
}

/// Lets the waiters go on, each into the room when it has the lock, and out at once; gives the order in which they came.
pub(crate) async fn served(waiting: Vec<Waiting>, room: &Room) -> Vec<usize> {
    let before = room.visits().len();
    let calls: Vec<_> = waiting
        .into_iter()
        .enumerate()
        .map(|(who, call)| {
            let room = room.clone();
            tokio::spawn(async move {
                let guard = call.await.unwrap();
                let visit = room.enter(who, guard.lease());
                tokio::task::yield_now().await;
                drop(visit);
                guard.release().await.unwrap();
            })
        })
        .collect();
    for (who, call) in calls.into_iter().enumerate() {
        within(LATE, &format!("{who} gets its turn"), call).await.unwrap();
    }
    room.visits().split_off(before)
}

/// As [`served`], where the order is not what it is about: who was served, sorted.
pub(crate) async fn all_served(waiting: Vec<Waiting>, room: &Room) -> Vec<usize> {
    let mut who = served(waiting, room).await;
    who.sort_unstable();
    who
}

/// The median of some times.
pub(crate) fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}
