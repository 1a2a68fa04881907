//! Which holds surround the code that runs now: the nesting of futures, not of tasks or threads.

use std::cell::RefCell;
use std::sync::Arc;

use tokio::task;

use crate::ownership::Ownership;
use crate::{Lease, manager::Shared};

thread_local! {
    /// Filled while a body is polled, from the outermost to the innermost, and empty again afterwards.
    static SCOPES: RefCell<Scopes> = const { RefCell::new(Scopes { parts: Vec::new(), tasks: Vec::new() }) };
}

/// Two lists, because a pair is put together in one place and moved to another, in each poll of a body, and a processor waits
/// for what it has just put together.
struct Scopes {
    parts: Vec<Ownership>,
    /// The task in which each body was polled. An executor that runs inside a body (a `LocalSet`, say) polls strangers
    /// on this thread; their task differs.
    tasks: Vec<Option<task::Id>>,
}

impl Scopes {
    fn push(&mut self, part: Ownership, task: Option<task::Id>) {
        self.parts.push(part);
        self.tasks.push(task);
    }

    fn pop(&mut self) -> Option<Ownership> {
        self.tasks.pop();
        self.parts.pop()
    }

    /// Those of `task`, from the innermost outwards.
    fn of(&self, task: Option<task::Id>) -> impl Iterator<Item = &Ownership> {
        let both = self.parts.iter().zip(&self.tasks).rev();
        both.take_while(move |(_, of)| **of == task).map(|(part, _)| part)
    }
}

/// The lease of the innermost annotated body, or [`run`](crate::LockRequest::run), around the caller.
///
/// `None` outside of one, in a task that a body has spawned, and in a `compensate` call: what surrounds the caller is
/// the nesting of futures only.
#[must_use]
pub fn current() -> Option<Lease> {
    let task = task::try_id();
    SCOPES.with_borrow(|scopes| scopes.of(task).next().map(|part| part.lease().clone()))
}

/// Runs `poll` inside the hold that `ownership` is a part of; it is there again afterwards.
pub(crate) fn within<T>(ownership: &mut Option<Ownership>, poll: impl FnOnce() -> T) -> T {
    /// Leaves the scope also when `poll` panics: the lock is the call's to release, after the body is dropped.
    struct Leave<'a>(&'a mut Option<Ownership>);

    impl Drop for Leave<'_> {
        fn drop(&mut self) {
            *self.0 = SCOPES.with_borrow_mut(Scopes::pop);
        }
    }

    if ownership.is_none() {
        return poll();
    }
    let task = task::try_id();
    SCOPES.with_borrow_mut(|scopes| {
        if let Some(ownership) = ownership.take() {
            scopes.push(ownership, task);
        }
    });
    let _leave = Leave(ownership);
    poll()
}

/// The surrounding hold of the lock `name` of this manager, if there is one.
pub(crate) fn surrounding(shared: &Arc<Shared>, name: &str) -> Option<Ownership> {
    SCOPES.with_borrow(|scopes| {
        if scopes.parts.is_empty() {
            return None;
        }
        scopes
            .of(task::try_id())
            .find(|ownership| {
                let hold = ownership.hold();
                hold.claim.name() == name && Arc::ptr_eq(&hold.shared, shared)
            })
            .cloned()
    })
}
