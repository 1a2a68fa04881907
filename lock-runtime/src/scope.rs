//! Which holds surround the code that runs now: the nesting of futures, not of tasks or threads.

use std::cell::RefCell;
use std::sync::Arc;

use tokio::task;

use crate::ownership::Ownership;
use crate::{Lease, manager::Shared};

thread_local! {
    /// Filled while a body is polled, from the outermost to the innermost, and empty again afterwards.
    static SCOPES: RefCell<Vec<Scope>> = const { RefCell::new(Vec::new()) };
}

struct Scope {
    ownership: Ownership,
    /// The task in which the body was polled. An executor that runs inside a body (a `LocalSet`, say) polls strangers
    /// on this thread; their task differs.
    task: Option<task::Id>,
}

/// The lease of the innermost annotated body, or [`run`](crate::LockRequest::run), around the caller.
///
/// `None` outside of one, in a task that a body has spawned, and in a `compensate` call: what surrounds the caller is
/// the nesting of futures only.
#[must_use]
pub fn current() -> Option<Lease> {
    let task = task::try_id();
    SCOPES.with_borrow(|scopes| {
        let scope = scopes.last().filter(|scope| scope.task == task)?;
        Some(scope.ownership.lease().clone())
    })
}

/// Runs `poll` inside the hold that `ownership` is a part of; it is there again afterwards.
pub(crate) fn within<T>(ownership: &mut Option<Ownership>, poll: impl FnOnce() -> T) -> T {
    /// Leaves the scope also when `poll` panics: the lock is the call's to release, after the body is dropped.
    struct Leave<'a>(&'a mut Option<Ownership>);

    impl Drop for Leave<'_> {
        fn drop(&mut self) {
            *self.0 = SCOPES.with_borrow_mut(Vec::pop).map(|scope| scope.ownership);
        }
    }

    if ownership.is_none() {
        return poll();
    }
    let task = task::try_id();
    SCOPES.with_borrow_mut(|scopes| {
        if let Some(ownership) = ownership.take() {
            scopes.push(Scope { ownership, task });
        }
    });
    let _leave = Leave(ownership);
    poll()
}

/// The surrounding hold of the lock `name` of this manager, if there is one.
pub(crate) fn surrounding(shared: &Arc<Shared>, name: &str) -> Option<Ownership> {
    SCOPES.with_borrow(|scopes| {
        if scopes.is_empty() {
            return None;
        }
        let task = task::try_id();
        scopes
            .iter()
            .rev()
            .take_while(|scope| scope.task == task)
            .map(|scope| &scope.ownership)
            .find(|ownership| {
                let hold = ownership.hold();
                hold.claim.name() == name && Arc::ptr_eq(&hold.shared, shared)
            })
            .cloned()
    })
}
