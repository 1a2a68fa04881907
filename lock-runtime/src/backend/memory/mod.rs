//! Locks inside one process: for development and tests, and the reference for what the other backends do.

#[cfg(feature = "queue")]
mod calls;
mod line;
mod listening;
mod store;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
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
    /// By which others find the store.
    #[cfg(feature = "queue")]
    name: Option<String>,
}

/// The stores that everybody in this process sees who gives the same name.
static NAMED: LazyLock<Mutex<HashMap<String, Named>>> = LazyLock::new(Mutex::default);

#[derive(Default)]
struct Named {
    store: Weak<Store>,
    /// It goes with its last user, unless it has calls: they wait for a worker as long as the process lives.
    #[cfg(feature = "queue")]
    kept: Option<Arc<Store>>,
}

fn named() -> MutexGuard<'static, HashMap<String, Named>> {
    // A panic while the map was locked cannot have left it half-changed.
    NAMED.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryBackend {
    /// A store that nobody else sees.
    pub(crate) fn private() -> Self {
        Self {
            store: Arc::new(Store::default()),
            #[cfg(feature = "queue")]
            name: None,
        }
    }

    /// The store of this name.
    pub(crate) fn named(name: &str) -> Self {
        let mut named = named();
        named.retain(|_, named| named.store.strong_count() > 0);
        let entry = named.entry(name.to_owned()).or_default();
        let store = entry.store.upgrade().unwrap_or_default();
        entry.store = Arc::downgrade(&store);
        Self {
            store,
            #[cfg(feature = "queue")]
            name: Some(name.to_owned()),
        }
    }
}

#[cfg(feature = "queue")]
impl Drop for MemoryBackend {
    fn drop(&mut self) {
        if let Some(name) = &self.name
            && let Some(named) = named().get_mut(name)
        {
            // What was kept until now is this store, which is still there.
            named.kept = self.store.has_calls().then(|| Arc::clone(&self.store));
        }
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
