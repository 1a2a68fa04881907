//! One caller who waits in this process, and what it is given.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Poll, Waker};

use tokio::runtime::Handle;

use crate::clock::Moment;
use crate::grant::Grant;
use crate::hold::Hold;
use crate::manager::Shared;
use crate::ownership::Ownership;
use crate::telemetry::Telemetry;
use crate::terms::Terms;
use crate::timeline::Timeline;
use crate::{Key, LockError, LostReason};

/// One caller in line.
pub(crate) struct Waiter {
    pub(crate) key: Key,
    pub(crate) terms: Terms,
    telemetry: Telemetry,
    started: Moment,
    /// The runtime on which it waits.
    near: OnceLock<Handle>,
    /// Its wait is over; it only stays for the answer to one more question.
    overdue: AtomicBool,
    /// A std mutex, held for a look.
    cell: Mutex<Cell>,
}

enum Cell {
    Waiting(Option<Waker>),
    Given(Result<Ownership, LockError>),
    /// It has what it was given, or has given up.
    Gone,
}

impl Waiter {
    pub(crate) fn new(key: Key, terms: Terms, telemetry: Telemetry, started: Moment) -> Self {
        Self {
            key,
            terms,
            telemetry,
            started,
            near: OnceLock::new(),
            overdue: AtomicBool::new(false),
            cell: Mutex::new(Cell::Waiting(None)),
        }
    }

    fn cell(&self) -> MutexGuard<'_, Cell> {
        self.cell.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The runtime on which it waits, if it waits on one.
    pub(crate) fn near(&self) -> Option<&Handle> {
        self.near.get()
    }

    /// It waits on the runtime around the caller.
    pub(crate) fn waits_here(&self) {
        if let Ok(runtime) = Handle::try_current() {
            self.near.get_or_init(|| runtime);
        }
    }

    pub(crate) fn is_overdue(&self) -> bool {
        self.overdue.load(Ordering::Acquire)
    }

    /// When its wait began.
    pub(crate) fn started(&self) -> Moment {
        self.started
    }

    /// Its wait was in vain.
    pub(crate) fn conflict(&self, now: Moment) -> LockError {
        LockError::Conflict {
            key: self.key.clone(),
            waited: now.since(self.started),
        }
    }

    pub(crate) fn shut_down(&self) -> LockError {
        LockError::ShutDown {
            key: Some(self.key.clone()),
        }
    }

    /// What it is given. Cancel safe: it stays until it is taken.
    pub(crate) async fn outcome(&self) -> Result<Ownership, LockError> {
        poll_fn(|context| {
            let mut cell = self.cell();
            let before = match &mut *cell {
                Cell::Waiting(Some(waker)) if waker.will_wake(context.waker()) => None,
                Cell::Waiting(waker) => waker.replace(context.waker().clone()),
                Cell::Given(_) => match std::mem::replace(&mut *cell, Cell::Gone) {
                    Cell::Given(outcome) => return Poll::Ready(outcome),
                    Cell::Waiting(_) | Cell::Gone => None,
                },
                // Polled after it was ready, which `.await` never does.
                Cell::Gone => None,
            };
            drop(cell);
            // The drop of a waker runs other people's code.
            drop(before);
            Poll::Pending
        })
        .await
    }

    /// Makes a hold of what was granted, and wakes the caller. If that has given up, the hold ends at once.
    pub(crate) fn give(&self, grant: Grant, shared: Arc<Shared>, timeline: Arc<Timeline>) {
        let waited = grant.granted.since(self.started);
        let (fence, owner) = (grant.fence, Arc::clone(&shared.owner));
        let mut giving = Giving {
            waiter: self,
            given: Some((grant, shared, timeline)),
            telemetry: Telemetry::NOBODY,
        };
        giving.telemetry = self.telemetry.granted(&self.key, &owner, fence, || waited);
    }

    fn take(&self, grant: Grant, shared: Arc<Shared>, timeline: Arc<Timeline>, telemetry: Telemetry) {
        // Counted also where a shutdown has begun: the hold learns of it below.
        let _open = shared.present.enter();
        let hold = Arc::new(Hold::new(
            grant,
            self.terms.hold,
            Arc::clone(&shared),
            Some(Arc::clone(&timeline)),
            telemetry,
        ));
        let ownership = Ownership::new(Arc::clone(&hold));
        timeline.watch(&hold);
        // A shutdown that began before the hold could be seen has not told it.
        if shared.is_closing() {
            hold.lose(LostReason::Shutdown);
            return self.tell(Err(self.shut_down()));
        }
        self.tell(Ok(ownership));
    }

    pub(crate) fn tell(&self, outcome: Result<Ownership, LockError>) {
        let mut cell = self.cell();
        let waker = match &mut *cell {
            Cell::Waiting(waker) => {
                let waker = waker.take();
                *cell = Cell::Given(outcome);
                waker
            }
            Cell::Given(_) | Cell::Gone => {
                drop(cell);
                // Nobody wants it: it ends here, and goes on to the next.
                return drop(outcome);
            }
        };
        drop(cell);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// It gives up. What it was given in the meantime ends here. Whether it was given nothing.
    pub(crate) fn give_up(&self) -> bool {
        let was = std::mem::replace(&mut *self.cell(), Cell::Gone);
        matches!(was, Cell::Waiting(_))
    }

    /// Its wait is over; it only stays for the answer to one more question.
    pub(crate) fn is_over(&self) {
        self.overdue.store(true, Ordering::Release);
    }

    /// When its wait is over.
    pub(crate) fn until(&self) -> Moment {
        self.started.plus(self.terms.wait.unwrap_or_default())
    }
}

/// A grant on its way to a waiter. It arrives whatever happens, be it that a subscriber panics: nobody else knows of it.
struct Giving<'a> {
    waiter: &'a Waiter,
    given: Option<(Grant, Arc<Shared>, Arc<Timeline>)>,
    telemetry: Telemetry,
}

impl Drop for Giving<'_> {
    fn drop(&mut self) {
        if let Some((grant, shared, timeline)) = self.given.take() {
            let telemetry = std::mem::replace(&mut self.telemetry, Telemetry::NOBODY);
            self.waiter.take(grant, shared, timeline, telemetry);
        }
    }
}
