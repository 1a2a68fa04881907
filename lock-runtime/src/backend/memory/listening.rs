//! Those who want to hear that a lock may be free, or of a bell, without being in the line.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Notify;

use super::super::armed::{Armed, Watcher};
use super::super::{BoxFuture, Wakeup};
use super::store::Store;

/// Who listens for which name. An entry is there while somebody does.
#[derive(Default)]
pub(super) struct Listening(HashMap<String, Listeners>);

struct Listeners {
    notify: Arc<Notify>,
    /// For a bell: everybody is woken.
    rung: Armed,
    count: usize,
}

impl Listening {
    /// One is enough: whoever is woken takes the lock, and its release wakes the next.
    pub(super) fn wake(&self, name: &str) {
        if let Some(listeners) = self.0.get(name) {
            listeners.notify.notify_one();
        }
    }
}

impl Store {
    /// Wakes everybody who listens for `name`.
    #[cfg(feature = "queue")]
    pub(super) fn ring(&self, name: &str) {
        if let Some(listeners) = self.tables().listening.0.get(name) {
            listeners.rung.ring();
        }
    }
}

/// A place among those who listen for one name.
pub(super) struct Listener {
    store: Arc<Store>,
    name: String,
    notify: Arc<Notify>,
    rung: Watcher,
}

impl Listener {
    pub(super) fn new(store: Arc<Store>, name: &str) -> Self {
        let (notify, rung) = {
            let mut tables = store.tables();
            let listeners = tables.listening.0.entry(name.to_owned()).or_insert_with(|| Listeners {
                notify: Arc::new(Notify::new()),
                rung: Armed::default(),
                count: 0,
            });
            listeners.count += 1;
            (Arc::clone(&listeners.notify), listeners.rung.watch())
        };
        Self {
            store,
            name: name.to_owned(),
            notify,
            rung,
        }
    }
}

impl Wakeup for Listener {
    #[cfg(any(feature = "queue", test))]
    fn armed(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn woken(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            // Which of the two does not matter, and neither is lost with the other.
            tokio::select! {
                biased;
                () = self.notify.notified() => {}
                () = self.rung.changed() => {}
            }
        })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut tables = self.store.tables();
        let tables = &mut *tables;
        let Some(listeners) = tables.listening.0.get_mut(&self.name) else {
            return;
        };
        listeners.count -= 1;
        if listeners.count == 0 {
            tables.listening.0.remove(&self.name);
        } else if tables.locks.get(&*self.name).is_none_or(|lock| lock.holder.is_none()) {
            // This one may have been woken and then given up; the wake-up must not be lost with it.
            self.notify.notify_one();
        }
    }
}
