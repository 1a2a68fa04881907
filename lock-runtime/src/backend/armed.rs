//! Whether somebody is heard who waits for a name (on a server: whether the subscription is confirmed), and a bell that
//! everybody hears: a state that waiters see change, in the order in which they wait.
//!
//! Not tokio's `watch`, which wakes its receivers in a random order: a simulation of this library could not be repeated.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The side that knows.
#[derive(Clone, Default)]
pub(in crate::backend) struct Armed(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// A std mutex, held for a look.
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Clone, Copy, Default)]
struct State {
    armed: bool,
    /// Counts the changes.
    version: u64,
}

/// The side that waits. It remembers a change while nobody asks.
pub(in crate::backend) struct Watcher {
    shared: Arc<Shared>,
    /// The version that was seen last.
    seen: u64,
}

impl Armed {
    /// Tells the watchers only what is new to them.
    pub(in crate::backend) fn set(&self, armed: bool) {
        let mut state = self.0.state();
        if state.armed == armed {
            return;
        }
        *state = State {
            armed,
            version: state.version + 1,
        };
        drop(state);
        self.0.changed.notify_waiters();
    }

    pub(in crate::backend) fn is_armed(&self) -> bool {
        self.0.state().armed
    }

    /// Tells all watchers, also those that are busy just now.
    #[cfg(feature = "queue")]
    pub(in crate::backend) fn ring(&self) {
        self.0.state().version += 1;
        self.0.changed.notify_waiters();
    }

    pub(in crate::backend) fn watch(&self) -> Watcher {
        Watcher {
            seen: self.0.state().version,
            shared: Arc::clone(&self.0),
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watcher {
    /// Resolves when it is armed. Cancel safe.
    #[cfg(any(feature = "queue", test))]
    pub(in crate::backend) async fn armed(&mut self) {
        self.until(|state, _| state.armed).await;
    }

    /// Resolves when it has changed since the last time that one of these two resolved. Cancel safe.
    pub(in crate::backend) async fn changed(&mut self) {
        self.until(|state, seen| state.version != seen).await;
    }

    async fn until(&mut self, holds: impl Fn(State, u64) -> bool) {
        loop {
            let mut changed = pin!(self.shared.changed.notified());
            // Before the look, so that a change after it is not missed.
            changed.as_mut().enable();
            let state = *self.shared.state();
            if holds(state, self.seen) {
                self.seen = state.version;
                return;
            }
            changed.await;
        }
    }
}
