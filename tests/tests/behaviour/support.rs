//! What the modules share: times, bodies that wait to be told, and witnesses of what was held when.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lock_runtime::{Lease, LockManager};
use lock_tests::eventually;
use tokio::sync::Notify;

/// The longest that something may take which happens at once, on a machine with other work. Far
/// below the default ttl (30 s) and the default wait (10 s), so that neither is taken for it.
pub(crate) const SOON: Duration = Duration::from_secs(8);

pub(crate) const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// What is taken off a ttl for clocks that differ.
pub(crate) fn drift(ttl: Duration) -> Duration {
    ttl / 100 + ms(2)
}

/// Awaits something that must happen at once.
pub(crate) async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(SOON, future).await {
        Ok(output) => output,
        Err(_) => panic!("not within {SOON:?}: {what}"),
    }
}

/// How long this machine stood still, all in all. A limit of the contract is tested exactly, on top of that.
pub(crate) struct Stalls(Arc<AtomicU64>);

impl Stalls {
    pub(crate) fn watch() -> Stalls {
        const STEP: Duration = ms(10);
        let stood_still = Arc::new(AtomicU64::new(0));
        let sum = Arc::clone(&stood_still);
        std::thread::spawn(move || {
            // Ends when nobody asks any more.
            while Arc::strong_count(&sum) > 1 {
                let begun = Instant::now();
                std::thread::sleep(STEP);
                let late = begun.elapsed().saturating_sub(STEP);
                sum.fetch_add(u64::try_from(late.as_micros()).unwrap(), Ordering::Relaxed);
            }
        });
        Stalls(stood_still)
    }

    /// Three times what this thread saw: the test's, the library's and the server's each had their own.
    pub(crate) fn total(&self) -> Duration {
        3 * Duration::from_micros(self.0.load(Ordering::Relaxed))
    }
}

/// Whether anybody holds the key.
pub(crate) async fn held(manager: &LockManager, key: &str) -> bool {
    manager.inspect(key).await.unwrap().is_some()
}

/// Waits until nobody holds the key.
pub(crate) async fn free_soon(manager: &LockManager, key: &str) {
    let what = format!("the lock {key} is free");
    eventually(&what, SOON, async || !held(manager, key).await).await;
}

/// [`held`] for code that cannot await, from a runtime of its own.
pub(crate) fn held_blocking(manager: &LockManager, key: &str) -> bool {
    std::thread::scope(|scope| {
        let look = || runtime().block_on(held(manager, key));
        scope.spawn(look).join().unwrap()
    })
}

/// A runtime of one thread.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// A runtime with two workers.
pub(crate) fn threaded_runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

/// The key of the hold that surrounds the caller.
pub(crate) fn key_here() -> String {
    lease_here().key().to_string()
}

/// The lease of the hold that surrounds the caller.
pub(crate) fn lease_here() -> Lease {
    lock_runtime::current().expect("a body under a lock has a lease")
}

/// A body under test stops at the gate, says that it is there, and goes on when it is told to.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<Doors>);

#[derive(Default)]
struct Doors {
    entered: Notify,
    opened: Notify,
}

impl Gate {
    /// For the body: waits until the gate is open.
    pub(crate) async fn pass(&self) {
        self.0.entered.notify_one();
        self.0.opened.notified().await;
    }

    /// For a body that does not stop: says that it is there.
    pub(crate) fn entered_and_open(&self) {
        self.0.entered.notify_one();
    }

    /// For the test: waits until a body is at the gate.
    pub(crate) async fn entered(&self) {
        soon("a body has begun", self.0.entered.notified()).await;
    }

    /// For the test: lets one body go on.
    pub(crate) fn open(&self) {
        self.0.opened.notify_one();
    }
}

/// Counts how often something happened.
#[derive(Clone, Default)]
pub(crate) struct Count(Arc<AtomicU32>);

impl Count {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn get(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}

/// What happened, in order.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn say(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// Says, when it is dropped, whether the lock was still held then.
pub(crate) struct Witness {
    name: &'static str,
    key: &'static str,
    manager: LockManager,
    log: Log,
}

impl Witness {
    pub(crate) fn new(name: &'static str, key: &'static str, manager: &LockManager, log: &Log) -> Witness {
        Witness {
            name,
            key,
            manager: manager.clone(),
            log: log.clone(),
        }
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let held = held_blocking(&self.manager, self.key);
        self.log
            .say(format!("{}: {}", self.name, if held { "held" } else { "free" }));
    }
}

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Returns,
    Fails,
    Panics,
    Cancelled,
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

/// Every way in which a body can end.
pub(crate) const ENDS: [End; 4] = [End::Returns, End::Fails, End::Panics, End::Cancelled];

/// What a body of these tests fails with when it is told to, beside the lock's own errors.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the body failed")]
    Failed,
    #[error(transparent)]
    Lock(#[from] lock_runtime::LockError),
}

/// The end of a body: as it is told.
pub(crate) async fn end(end: End) -> Result<(), BodyError> {
    match end {
        End::Returns => Ok(()),
        End::Fails => Err(BodyError::Failed),
        End::Panics => panic!("this body panics because the test wants it to"),
        End::Cancelled => std::future::pending().await,
    }
}

/// Runs a call in a task until the body ended in the way it was told; a body that is to be cancelled
/// is, once it is at the gate.
pub(crate) async fn run_to_end<F>(call: F, gate: &Gate, end: End)
where
    F: Future<Output = Result<(), BodyError>> + Send + 'static,
{
    let task = tokio::spawn(call);
    gate.entered().await;
    gate.open();
    if end == End::Cancelled {
        task.abort();
    }
    let ended = soon("the call ends", task).await;
    match end {
        End::Returns => ended.unwrap().unwrap(),
        End::Fails => assert!(matches!(ended.unwrap(), Err(BodyError::Failed))),
        End::Panics => assert!(ended.unwrap_err().is_panic()),
        End::Cancelled => assert!(ended.unwrap_err().is_cancelled()),
    }
}
