//! The table of locks and of those who wait for them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;

use super::super::armed::{Armed, Watcher};
use super::super::{Acquired, BoxFuture, Claim, Leave, Released, Renewed, Stored, Wakeup, Woken};
#[cfg(feature = "queue")]
use super::calls::Shelf;
use crate::Fence;
use crate::clock::Moment;

/// A std mutex, because it is held for a few map operations and never across an await.
#[derive(Default)]
pub(super) struct Store {
    tables: Mutex<Tables>,
    /// The stored calls of each namespace. A std mutex, held for a look.
    #[cfg(feature = "queue")]
    shelves: Mutex<HashMap<String, Arc<Shelf>>>,
}

#[derive(Default)]
struct Tables {
    held: HashMap<String, Entry>,
    /// Who waits for a name, however it is held. An entry is there while somebody waits.
    waiting: HashMap<String, Queue>,
    /// The last fence that was given to any hold of any name.
    last_fence: u64,
    /// How many entries `held` may have before those that have expired are swept out.
    sweep_at: usize,
}

struct Entry {
    value: String,
    expires: Moment,
}

struct Queue {
    notify: Arc<Notify>,
    /// For a bell: everybody is woken.
    rung: Armed,
    waiters: usize,
}

impl Store {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        // No operation panics half-way through a change, so a poisoned table is still a whole one.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(feature = "queue")]
    pub(super) fn shelf(&self, namespace: &str) -> Arc<Shelf> {
        let mut shelves = self.shelves.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(shelves.entry(namespace.to_owned()).or_default())
    }

    /// Wakes everybody who waits for `name`.
    #[cfg(feature = "queue")]
    pub(super) fn ring(&self, name: &str) {
        if let Some(queue) = self.tables().waiting.get(name) {
            queue.rung.ring();
        }
    }

    /// With so many fences in a row, the first of which is the answer's.
    pub(super) fn acquire(&self, claim: &Claim, ttl: Duration, fences: u64, now: Moment) -> Acquired {
        let mut tables = self.tables();
        if let Some(entry) = tables.alive(&claim.name, now)
            && entry.value != claim.value
        {
            return Acquired::Busy(Some(entry.expires.since(now)));
        }
        tables.sweep(now);
        let fence = tables.next_fence(fences);
        let entry = Entry {
            value: claim.value.clone(),
            expires: now.plus(ttl),
        };
        tables.held.insert(claim.name.clone(), entry);
        Acquired::Granted(fence)
    }

    pub(super) fn renew(&self, claim: &Claim, ttl: Duration, now: Moment) -> Renewed {
        match self.tables().alive(&claim.name, now) {
            None => Renewed::Missing,
            Some(entry) if entry.value != claim.value => Renewed::Taken,
            Some(entry) => {
                entry.expires = now.plus(ttl);
                Renewed::Extended
            }
        }
    }

    pub(super) fn release(&self, claim: &Claim, leave: Leave, now: Moment) -> Released {
        let mut tables = self.tables();
        match tables.alive(&claim.name, now) {
            Some(entry) if entry.value == claim.value => match leave {
                Leave::TakenFor(rest) => {
                    entry.expires = now.plus(rest);
                    // It may expire earlier than who waits believes.
                    tables.wake(&claim.name);
                }
                Leave::Nothing => tables.free(&claim.name),
            },
            Some(_) => return Released::Taken,
            None => return Released::Missing,
        }
        Released::Done
    }

    pub(super) fn inspect(&self, name: &str, now: Moment) -> Option<Stored> {
        self.tables().alive(name, now).map(|entry| Stored {
            value: entry.value.clone(),
            remaining: Some(entry.expires.since(now)),
        })
    }

    pub(super) fn force_release(&self, name: &str, now: Moment) -> bool {
        let mut tables = self.tables();
        let held = tables.alive(name, now).is_some();
        if held {
            tables.free(name);
        }
        held
    }
}

impl Tables {
    /// The entry of `name` if its time is not over.
    fn alive(&mut self, name: &str, now: Moment) -> Option<&mut Entry> {
        self.held.get_mut(name).filter(|entry| entry.expires > now)
    }

    fn free(&mut self, name: &str) {
        self.held.remove(name);
        self.wake(name);
    }

    fn wake(&self, name: &str) {
        // One is enough: whoever is woken takes the lock, and its release wakes the next.
        if let Some(queue) = self.waiting.get(name) {
            queue.notify.notify_one();
        }
    }

    /// Throws out holders that died, once the table has doubled since the last time: constant cost for each hold.
    fn sweep(&mut self, now: Moment) {
        if self.held.len() >= self.sweep_at {
            self.held.retain(|_, entry| entry.expires > now);
            self.sweep_at = (self.held.len() * 2).max(64);
        }
    }

    /// By the same rule as on a server: the larger of the last plus one and the time in microseconds.
    fn next_fence(&mut self, count: u64) -> Fence {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let micros = u64::try_from(time.as_micros()).unwrap_or_default();
        let first = micros.max(self.last_fence + 1);
        self.last_fence = first + count - 1;
        Fence::from(first)
    }
}

/// A place in the queue for one name.
pub(super) struct Waiter {
    store: Arc<Store>,
    name: String,
    notify: Arc<Notify>,
    rung: Watcher,
}

impl Waiter {
    pub(super) fn new(store: Arc<Store>, name: &str) -> Self {
        let (notify, rung) = {
            let mut tables = store.tables();
            let queue = tables.waiting.entry(name.to_owned()).or_insert_with(|| Queue {
                notify: Arc::new(Notify::new()),
                rung: Armed::default(),
                waiters: 0,
            });
            queue.waiters += 1;
            (Arc::clone(&queue.notify), queue.rung.watch())
        };
        Self {
            store,
            name: name.to_owned(),
            notify,
            rung,
        }
    }
}

impl Wakeup for Waiter {
    fn armed(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn woken(&mut self) -> BoxFuture<'_, Woken> {
        Box::pin(async {
            // Which of the two does not matter, and neither is lost with the other.
            tokio::select! {
                biased;
                () = self.notify.notified() => {}
                () = self.rung.changed() => {}
            }
            Woken::Look
        })
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut tables = self.store.tables();
        let Some(queue) = tables.waiting.get_mut(&self.name) else {
            return;
        };
        queue.waiters -= 1;
        if queue.waiters == 0 {
            tables.waiting.remove(&self.name);
        } else if !tables.held.contains_key(&self.name) {
            // This one may have been woken and then given up; the wake-up must not be lost with it.
            self.notify.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(value: &str) -> Claim {
        Claim {
            name: "k".to_owned(),
            value: value.to_owned(),
        }
    }

    const TTL: Duration = Duration::from_secs(1);

    #[test]
    fn a_second_claim_is_busy_until_the_first_is_released() {
        let store = Store::default();
        let now = Moment::from_nanos(0);
        assert!(matches!(store.acquire(&claim("a"), TTL, 1, now), Acquired::Granted(_)));
        assert_eq!(store.acquire(&claim("b"), TTL, 1, now), Acquired::Busy(Some(TTL)));
        assert_eq!(store.release(&claim("b"), Leave::Nothing, now), Released::Taken);
        assert_eq!(store.release(&claim("a"), Leave::Nothing, now), Released::Done);
        assert!(matches!(store.acquire(&claim("b"), TTL, 1, now), Acquired::Granted(_)));
    }

    #[test]
    fn the_same_claim_sent_twice_is_granted_twice_with_growing_fences() {
        let store = Store::default();
        let now = Moment::from_nanos(0);
        let (Acquired::Granted(first), Acquired::Granted(second)) = (
            store.acquire(&claim("a"), TTL, 1, now),
            store.acquire(&claim("a"), TTL, 1, now),
        ) else {
            panic!("both must be granted");
        };
        assert!(first < second);
    }

    #[test]
    fn a_renewal_never_creates_a_key() {
        let store = Store::default();
        let now = Moment::from_nanos(0);
        store.acquire(&claim("a"), TTL, 1, now);
        assert_eq!(store.renew(&claim("a"), TTL, now.plus(TTL)), Renewed::Missing);
        assert_eq!(store.inspect("k", now.plus(TTL)), None);
    }

    #[test]
    fn holders_that_died_do_not_pile_up() {
        let store = Store::default();
        for number in 0..1_000_u64 {
            let claim = Claim {
                name: number.to_string(),
                value: "a".to_owned(),
            };
            store.acquire(&claim, TTL, 1, Moment::from_nanos(number * 1_000_000_000));
        }
        assert!(store.tables().held.len() <= 64);
    }
}
