//! Stored calls inside one process. They live as long as their store, which lives as long as they do, and by its users'
//! clock.

mod claiming;
mod look;
mod table;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use uuid::Uuid;

use self::table::{Rings, Table};
use super::super::queue::{
    CallRecord, CallStore, Cancelling, Census, ClaimRequest, Claims, Found, NewCall, Settled, Standing, Storing, Sweep,
    Verdict,
};
use super::super::{BoxFuture, Failure};
use super::ready;
use super::store::Store;
use crate::clock::{Clock, Moment};

/// The calls of one namespace.
pub(super) struct Calls {
    /// Who waits for a bell waits there, as for a lock.
    store: Arc<Store>,
    table: Arc<Shelf>,
    bell: String,
}

/// Where a store keeps the calls of a namespace.
pub(super) struct Shelf {
    /// A std mutex, because it is held for a few map operations and never across an await.
    table: Mutex<Table>,
    /// One moment on the wall and on the lease clock: the times that operators see follow a test's paused clock.
    origin: (u64, Moment),
}

impl Default for Shelf {
    fn default() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            table: Mutex::default(),
            origin: (millis(wall), Clock::here().now()),
        }
    }
}

impl Shelf {
    pub(super) fn has_calls(&self) -> bool {
        !self
            .table
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .calls
            .is_empty()
    }
}

impl Calls {
    pub(super) fn new(store: Arc<Store>, namespace: &str) -> Self {
        Self {
            table: store.shelf(namespace),
            store,
            // Begins as no lock's name can.
            bell: format!("distributed-lock:{{queue:{namespace}}}"),
        }
    }

    /// Does one step at the present time, and rings for whom it is news.
    fn step<T>(&self, step: impl FnOnce(&mut Table, u64, &mut Rings) -> T) -> T {
        let mut rings = Rings::default();
        let answer = step(&mut self.table(), self.now(), &mut rings);
        if rings.bell {
            self.store.ring(&self.bell);
        }
        for id in rings.ended {
            self.store.ring(&self.end_bell(id));
        }
        answer
    }

    /// In milliseconds since 1970.
    fn now(&self) -> u64 {
        let (wall, moment) = self.table.origin;
        let now = Clock::here().now();
        // A clock that was paused may lie before the origin.
        (wall + millis(now.since(moment))).saturating_sub(millis(moment.since(now)))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // No step panics half-way through a change.
        self.table.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl CallStore for Calls {
    fn bell(&self) -> &str {
        &self.bell
    }

    fn end_bell(&self, id: Uuid) -> String {
        format!("{}:{id}", self.bell)
    }

    fn store<'a>(&'a self, call: &'a NewCall, _within: Duration) -> BoxFuture<'a, Result<Storing, Failure>> {
        ready(Ok(self.step(|table, now, rings| table.store(call, now, rings))))
    }

    fn claim<'a>(&'a self, request: &'a ClaimRequest, _within: Duration) -> BoxFuture<'a, Result<Claims, Failure>> {
        ready(Ok(self.step(|table, now, rings| table.claim(request, now, rings))))
    }

    fn keep<'a>(
        &'a self,
        claims: &'a [(Uuid, Uuid)],
        lease: Duration,
        _within: Duration,
    ) -> BoxFuture<'a, Result<Vec<bool>, Failure>> {
        ready(Ok(self.step(|table, now, _| {
            let until = now.saturating_add(millis(lease));
            claims
                .iter()
                .map(|(id, token)| table.keep(*id, *token, until))
                .collect()
        })))
    }

    fn settle<'a>(
        &'a self,
        id: Uuid,
        token: Uuid,
        verdict: &'a Verdict,
        ring: bool,
        _within: Duration,
    ) -> BoxFuture<'a, Result<Settled, Failure>> {
        ready(Ok(self.step(|table, now, rings| {
            let settled = table.settle(id, token, verdict, now, rings);
            rings.bell &= ring;
            settled
        })))
    }

    fn hasten(&self, id: Uuid, _within: Duration) -> BoxFuture<'_, Result<(), Failure>> {
        self.step(|table, now, rings| table.hasten(id, now, rings));
        ready(Ok(()))
    }

    fn census(&self, _within: Duration) -> BoxFuture<'_, Result<Census, Failure>> {
        ready(Ok(self.step(|table, now, _| table.census(now))))
    }

    fn page(
        &self,
        standing: Standing,
        offset: u64,
        limit: u32,
        _within: Duration,
    ) -> BoxFuture<'_, Result<Vec<CallRecord>, Failure>> {
        ready(Ok(self.step(|table, now, _| table.page(standing, offset, limit, now))))
    }

    fn find(&self, id: Uuid, _within: Duration) -> BoxFuture<'_, Result<Found, Failure>> {
        ready(Ok(self.step(|table, now, _| table.find(id, now))))
    }

    fn cancel(&self, id: Uuid, _within: Duration) -> BoxFuture<'_, Result<Cancelling, Failure>> {
        ready(Ok(self.step(|table, now, rings| table.cancel(id, now, rings))))
    }

    fn withdraw(&self, id: Uuid, _within: Duration) -> BoxFuture<'_, Result<(), Failure>> {
        self.step(|table, now, rings| table.withdraw(id, now, rings));
        ready(Ok(()))
    }

    fn send_back(&self, id: Uuid, _request: Uuid, _within: Duration) -> BoxFuture<'_, Result<bool, Failure>> {
        ready(Ok(self.step(|table, now, rings| table.send_back(id, now, rings))))
    }

    fn sweep_dead(
        &self,
        until: u64,
        limit: u32,
        sweep: Sweep,
        _within: Duration,
    ) -> BoxFuture<'_, Result<u64, Failure>> {
        ready(Ok(self.step(|table, now, rings| {
            let swept = table.dead_until(until, limit);
            for id in &swept {
                match sweep {
                    Sweep::SendBack => drop(table.send_back(*id, now, rings)),
                    Sweep::Forget => drop(table.cancel(*id, now, rings)),
                }
            }
            u64::try_from(swept.len()).unwrap_or(u64::MAX)
        })))
    }
}
