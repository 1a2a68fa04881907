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
    name: Option<String>,
}

/// The stores that everybody in this process sees who gives the same name.
static NAMED: LazyLock<Mutex<Names>> = LazyLock::new(Mutex::default);

#[derive(Default)]
struct Names {
    stores: HashMap<String, Named>,
    /// The largest fence that a store has given whose last user is gone: the next one of its name gives larger ones, also
    /// where those were ahead of the clock.
    fence: u64,
}

#[derive(Default)]
struct Named {
    store: Weak<Store>,
    /// It goes with its last user, unless it has calls: they wait for a worker as long as the process lives.
    #[cfg(feature = "queue")]
    kept: Option<Arc<Store>>,
}

fn named() -> MutexGuard<'static, Names> {
    // A panic while the map was locked cannot have left it half-changed.
    NAMED.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryBackend {
    /// A store that nobody else sees.
    pub(crate) fn private() -> Self {
        Self {
            store: Arc::default(),
            name: None,
        }
    }

    /// The store of this name.
    pub(crate) fn named(name: &str) -> Self {
        let mut names = named();
        names.stores.retain(|_, named| named.store.strong_count() > 0);
        let fence = names.fence;
        let entry = names.stores.entry(name.to_owned()).or_default();
        let store = entry.store.upgrade().unwrap_or_else(|| Arc::new(Store::after(fence)));
        entry.store = Arc::downgrade(&store);
        Self {
            store,
            name: Some(name.to_owned()),
        }
    }
}

impl Drop for MemoryBackend {
    fn drop(&mut self) {
        if self.name.is_none() {
            return;
        }
        let mut names = named();
        names.fence = names.fence.max(self.store.last_fence());
        #[cfg(feature = "queue")]
        if let Some(named) = self.name.as_ref().and_then(|name| names.stores.get_mut(name)) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_gives_larger_fences_than_one_of_its_name_that_is_gone() {
        let named = || MemoryBackend::named("fences");
        let ahead = named().store.last_fence() + 1;
        drop(MemoryBackend {
            store: Arc::new(Store::after(ahead)),
            name: Some("fences".to_owned()),
        });
        assert!(named().store.last_fence() >= ahead);
    }
}
