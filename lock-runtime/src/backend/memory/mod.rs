//! Locks inside one process: for development and tests, and the reference for what the other backends do.

#[cfg(feature = "queue")]
mod calls;
mod line;
mod listening;
mod store;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;

pub(crate) use self::line::{Applicant, Turn};
use self::listening::Listener;
pub(crate) use self::store::Store;
use super::{Acquired, Backend, BoxFuture, Claim, EachRenewed, Failure, Leave, Released, Stored, Wakeup};
use crate::clock::Clock;

/// One store of locks. Everything completes at once.
pub(crate) struct MemoryBackend {
    store: Arc<Store>,
}

impl MemoryBackend {
    /// A store that nobody else sees.
    pub(crate) fn private() -> Self {
        Self {
            store: Arc::new(Store::default()),
        }
    }

    /// The store that everybody in this process sees who gives the same `name`. It goes with its last user.
    pub(crate) fn named(name: &str) -> Self {
        static STORES: LazyLock<Mutex<HashMap<String, Weak<Store>>>> = LazyLock::new(Mutex::default);
        // A panic while the map was locked cannot have left it half-changed.
        let mut stores = STORES.lock().unwrap_or_else(PoisonError::into_inner);
        stores.retain(|_, store| store.strong_count() > 0);
        if let Some(store) = stores.get(name).and_then(Weak::upgrade) {
            return Self { store };
        }
        let store = Arc::new(Store::default());
        stores.insert(name.to_owned(), Arc::downgrade(&store));
        Self { store }
    }
}

fn ready<'a, T: Send + 'a>(value: T) -> BoxFuture<'a, T> {
    Box::pin(std::future::ready(value))
}

// The clock is the caller's, so that a test's paused clock is the store's clock too.
impl Backend for MemoryBackend {
    fn store(&self) -> Option<&Arc<Store>> {
        Some(&self.store)
    }

    fn acquire<'a>(
        &'a self,
        claim: &'a Claim,
        ttl: Duration,
        _within: Duration,
    ) -> BoxFuture<'a, Result<Acquired, Failure>> {
        let (clock, now) = Clock::here_and_now();
        let owner = claim.value.owner.clone().unwrap_or_else(|| "".into());
        ready(Ok(self.store.acquire(claim, &owner, ttl, clock, now)))
    }

    fn renew<'a>(
        &'a self,
        claims: &'a [(&'a Claim, Duration)],
        _within: Duration,
        each: &'a EachRenewed<'a>,
    ) -> BoxFuture<'a, ()> {
        let now = Clock::here().now();
        each(
            &mut claims
                .iter()
                .enumerate()
                .map(|(index, (claim, ttl))| (index, Ok(self.store.renew(claim, *ttl, now)))),
        );
        ready(())
    }

    fn release<'a>(
        &'a self,
        claim: &'a Claim,
        leave: Leave,
        _within: Duration,
    ) -> BoxFuture<'a, Result<Released, Failure>> {
        let (clock, now) = Clock::here_and_now();
        ready(Ok(self.store.release(claim, leave, clock, || now)))
    }

    fn inspect<'a>(&'a self, name: &'a str, _within: Duration) -> BoxFuture<'a, Result<Option<Stored>, Failure>> {
        ready(Ok(self.store.inspect(name, Clock::here().now())))
    }

    fn force_release<'a>(&'a self, name: &'a str, _within: Duration) -> BoxFuture<'a, Result<bool, Failure>> {
        let (clock, now) = Clock::here_and_now();
        ready(Ok(self.store.force_release(name, clock, now)))
    }

    #[cfg(feature = "queue")]
    fn calls(&self, namespace: &str) -> Option<Arc<dyn super::queue::CallStore>> {
        Some(Arc::new(calls::Calls::new(Arc::clone(&self.store), namespace)))
    }

    fn wakeup(&self, name: &str, _runtime: &Handle) -> Box<dyn Wakeup> {
        Box::new(Listener::new(Arc::clone(&self.store), name))
    }
}
