//! What the modules share: the state that every function is lent, workers that a test starts and stops, and how a
//! call ended.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lock_runtime::{CallEnd, LockError, LockGuard, LockManager, Outcome, QueuedCall, Ticket, Worker};
use lock_tests::eventually;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

use crate::functions;

/// The longest that something may take which happens at once, on a machine with other work. Far below every ttl and
/// every delay that it is compared with.
pub(crate) const SOON: Duration = Duration::from_secs(8);
/// For what only has to happen some time.
pub(crate) const LATE: Duration = Duration::from_secs(30);
/// The longest that a call may take when the backend does not answer.
pub(crate) const ANSWER: Duration = Duration::from_secs(5);

pub(crate) const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Awaits something that must happen at once.
pub(crate) async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(SOON, future).await {
        Ok(output) => output,
        Err(_) => panic!("not within {SOON:?}: {what}"),
    }
}

/// What a body fails with when it is told to, beside the lock's own errors.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShopError {
    #[error("the shop cannot: {0}")]
    Refused(String),
    #[error(transparent)]
    Lock(#[from] LockError),
}

/// What a body does. It is stored with the call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Act {
    /// Is done at once.
    Note,
    /// Lets others have their turn.
    Linger { ms: u64 },
    /// Waits until the test lets it go.
    Gate,
    /// Fails with this text.
    Fail(String),
    /// Panics with this text.
    Panic(String),
    /// Keeps its thread busy.
    Block { ms: u64 },
    /// Never ends; but on the next run, it does.
    HangOnce,
    /// Never ends.
    Hang,
}

/// The one state of all functions: the manager of direct callers, and what the bodies did. Clones share what they saw.
#[derive(Clone)]
pub(crate) struct Shop {
    locks: LockManager,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    journal: Mutex<Journal>,
    gate: Gate,
}

struct Gate(Semaphore);

impl Default for Gate {
    fn default() -> Gate {
        Gate(Semaphore::new(0))
    }
}

#[derive(Default)]
struct Journal {
    begun: Vec<String>,
    ended: Vec<String>,
    inside: Vec<(u64, String)>,
    most_inside: usize,
    /// The orders whose lock the test holds at the moment.
    closed: HashSet<u64>,
    /// What must never happen, and did.
    violations: Vec<String>,
}

impl AsRef<LockManager> for Shop {
    fn as_ref(&self) -> &LockManager {
        &self.locks
    }
}

impl Shop {
    pub(crate) fn on(locks: &LockManager) -> Shop {
        Shop {
            locks: locks.clone(),
            seen: Arc::default(),
        }
    }

    /// The same shop for callers with another manager.
    pub(crate) fn at(&self, locks: &LockManager) -> Shop {
        Shop {
            locks: locks.clone(),
            seen: Arc::clone(&self.seen),
        }
    }

    /// A worker of that manager, lent this shop.
    pub(crate) fn worker(&self, locks: &LockManager) -> Worker {
        locks.worker().state(self.at(locks))
    }

    /// Starts a worker of that manager.
    pub(crate) fn work(&self, locks: &LockManager) -> Working {
        Working::start(self.worker(locks))
    }

    /// Calls [`functions::ship`], whose lock somebody else must hold.
    pub(crate) async fn store(&self, order: u64, name: &str, act: Act) -> Ticket {
        match functions::ship(self, order, name.to_owned(), act).await.unwrap() {
            Outcome::Queued(ticket) => ticket,
            Outcome::Done(_) => panic!("{name} ran, though the lock of order {order} is taken"),
        }
    }

    /// As [`Shop::store`], with [`functions::ship_stubbornly`].
    pub(crate) async fn store_stubborn(&self, order: u64, name: &str, act: Act) -> Ticket {
        let outcome = functions::ship_stubbornly(self, order, name.to_owned(), act).await;
        let ticket = outcome.unwrap().ticket();
        ticket.unwrap_or_else(|| panic!("{name} ran, though the lock of order {order} is taken"))
    }

    /// As [`Shop::store_stubborn`] while a guard of this test is there, which is released again.
    pub(crate) async fn store_stubborn_free(&self, order: u64, name: &str, act: Act) -> Ticket {
        let guard = hold(&self.locks, order).await;
        let ticket = self.store_stubborn(order, name, act).await;
        guard.release().await.unwrap();
        ticket
    }

    /// As [`Shop::store`] while a guard of this test is there, which is released again.
    pub(crate) async fn store_free(&self, order: u64, name: &str, act: Act) -> Ticket {
        let guard = hold(&self.locks, order).await;
        let ticket = self.store(order, name, act).await;
        guard.release().await.unwrap();
        ticket
    }

    /// The names of the calls whose bodies began, in that order.
    pub(crate) fn begun(&self) -> Vec<String> {
        self.seen.journal.lock().unwrap().begun.clone()
    }

    /// The names of the calls whose bodies came to their end, in that order.
    pub(crate) fn ended(&self) -> Vec<String> {
        self.seen.journal.lock().unwrap().ended.clone()
    }

    /// How often the body of this call began.
    pub(crate) fn runs(&self, name: &str) -> usize {
        self.begun().iter().filter(|begun| *begun == name).count()
    }

    /// How many bodies are under way.
    pub(crate) fn inside(&self) -> usize {
        self.seen.journal.lock().unwrap().inside.len()
    }

    /// How many bodies were under way at most.
    pub(crate) fn most_inside(&self) -> usize {
        self.seen.journal.lock().unwrap().most_inside
    }

    /// What must never happen: a body without its lock, or beside another one for its order.
    pub(crate) fn violations(&self) -> Vec<String> {
        self.seen.journal.lock().unwrap().violations.clone()
    }

    /// From now on (`true`) the test holds the lock of this order: a body that is there is a violation.
    pub(crate) fn closed(&self, order: u64, closed: bool) {
        let mut journal = self.seen.journal.lock().unwrap();
        if closed {
            journal.closed.insert(order);
            let inside = journal.inside.iter().any(|(inside, _)| *inside == order);
            if inside {
                journal.violations.push(format!(
                    "a body of order {order} is there while the test holds its lock"
                ));
            }
        } else {
            journal.closed.remove(&order);
        }
    }

    /// Waits until so many bodies are under way.
    pub(crate) async fn until_inside(&self, count: usize) {
        let what = format!("{count} bodies are under way");
        eventually(&what, SOON, async || self.inside() == count).await;
    }

    /// Waits until so many bodies began.
    pub(crate) async fn until_begun(&self, count: usize) {
        let what = format!("{count} bodies have begun");
        eventually(&what, SOON, async || self.begun().len() >= count).await;
    }

    /// Lets so many bodies pass the gate, now or when they come.
    pub(crate) fn open(&self, bodies: usize) {
        self.seen.gate.0.add_permits(bodies);
    }

    /// What all bodies do. Gives the order.
    pub(crate) async fn perform(&self, order: u64, name: &str, act: &Act) -> Result<u64, ShopError> {
        let _inside = self.enter(order, name);
        let again = self.runs(name) > 1;
        match act {
            Act::Note => {}
            Act::Linger { ms } => tokio::time::sleep(Duration::from_millis(*ms)).await,
            Act::Gate => self.seen.gate.0.acquire().await.unwrap().forget(),
            Act::Fail(text) => return Err(ShopError::Refused(text.clone())),
            Act::Panic(text) => panic!("{text}"),
            Act::Block { ms } => std::thread::sleep(Duration::from_millis(*ms)),
            Act::HangOnce if again => {}
            Act::HangOnce | Act::Hang => std::future::pending().await,
        }
        self.seen.journal.lock().unwrap().ended.push(name.to_owned());
        Ok(order)
    }

    fn enter(&self, order: u64, name: &str) -> Inside<'_> {
        let held = lock_runtime::current().is_some_and(|lease| lease.is_held());
        let mut journal = self.seen.journal.lock().unwrap();
        if !held {
            journal.violations.push(format!("{name} runs without its lock"));
        }
        if journal.closed.contains(&order) {
            journal
                .violations
                .push(format!("{name} runs while the test holds the lock of order {order}"));
        }
        if let Some((_, other)) = journal.inside.iter().find(|(inside, _)| *inside == order) {
            let violation = format!("{name} runs beside {other}");
            journal.violations.push(violation);
        }
        journal.begun.push(name.to_owned());
        journal.inside.push((order, name.to_owned()));
        journal.most_inside = journal.most_inside.max(journal.inside.len());
        drop(journal);
        Inside {
            shop: self,
            order,
            name: name.to_owned(),
        }
    }
}

/// A body that is under way.
struct Inside<'a> {
    shop: &'a Shop,
    order: u64,
    name: String,
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        let mut journal = self.shop.seen.journal.lock().unwrap();
        let ours = |(order, name): &(u64, String)| *order == self.order && *name == self.name;
        if let Some(index) = journal.inside.iter().position(ours) {
            journal.inside.remove(index);
        }
    }
}

/// A worker under way, in a task of its own.
pub(crate) struct Working {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), LockError>>,
}

impl Working {
    pub(crate) fn start(worker: Worker) -> Working {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(worker.run_until(stopped));
        Working { stop, task }
    }

    /// Tells it to stop, without waiting for that.
    pub(crate) fn tell_to_stop(self) -> JoinHandle<Result<(), LockError>> {
        let _ = self.stop.send(());
        self.task
    }

    /// Stops it, and waits until it has stopped.
    pub(crate) async fn stop(self) {
        let task = self.tell_to_stop();
        soon("the worker stops", task).await.unwrap().unwrap();
    }

    /// Drops the future of the worker.
    pub(crate) async fn drop_it(self) {
        self.task.abort();
        let ended = soon("the task of the worker is gone", self.task).await;
        assert!(ended.unwrap_err().is_cancelled());
    }

    /// Whether it works.
    pub(crate) fn works(&self) -> bool {
        !self.task.is_finished()
    }
}

/// The key of [`functions::ship`] and of [`functions::ship_soon`].
pub(crate) fn key(order: u64) -> String {
    format!("order:{order}")
}

/// Takes the lock of an order, for a time that no test lives to see.
pub(crate) async fn hold(locks: &LockManager, order: u64) -> LockGuard {
    hold_key(locks, &key(order)).await
}

/// Takes a lock, for a time that no test lives to see.
pub(crate) async fn hold_key(locks: &LockManager, key: &str) -> LockGuard {
    let lock = locks.lock(key).ttl(Duration::from_secs(60)).wait(SOON);
    lock.acquire().await.unwrap()
}

/// How the call ends, which it must soon.
pub(crate) async fn end(locks: &LockManager, ticket: Ticket) -> CallEnd {
    let queue = locks.queue();
    let what = format!("the call {ticket} ends");
    soon(&what, queue.wait(ticket)).await.unwrap()
}

/// The call must be done soon.
pub(crate) async fn done(locks: &LockManager, ticket: Ticket) {
    assert_eq!(end(locks, ticket).await, CallEnd::Done);
}

/// The call must be a dead letter soon.
pub(crate) async fn dead(locks: &LockManager, ticket: Ticket) -> QueuedCall {
    let end = end(locks, ticket).await;
    assert!(matches!(end, CallEnd::Dead { .. }), "{end:?}");
    stored(locks, ticket).await
}

/// The call as it is stored now.
pub(crate) async fn stored(locks: &LockManager, ticket: Ticket) -> QueuedCall {
    let call = locks.queue().get(ticket).await.unwrap();
    call.unwrap_or_else(|| panic!("the call {ticket} is not stored"))
}

/// How many calls are due, delayed, running and dead.
pub(crate) async fn counts(locks: &LockManager) -> [u64; 4] {
    let counts = locks.queue().counts().await.unwrap();
    [counts.due, counts.delayed, counts.running, counts.dead]
}

/// How many calls wait, due or delayed.
pub(crate) async fn waiting(locks: &LockManager) -> u64 {
    let [due, delayed, _, _] = counts(locks).await;
    due + delayed
}

/// Nothing that must never happen did.
pub(crate) fn no_violation(shop: &Shop) {
    assert_eq!(shop.violations(), [""; 0]);
}
