//! The table as an operator sees it.

use std::time::Duration;

use uuid::Uuid;

use super::super::super::queue::{CallRecord, Census, Found, Standing};
use super::table::{Order, Place, Table};

impl Table {
    pub(super) fn census(&mut self, now: u64) -> Census {
        self.look_at_the_time(now);
        let count = |order: &Order| u64::try_from(order.len()).unwrap_or(u64::MAX);
        Census {
            due: count(&self.due),
            delayed: count(&self.delayed),
            running: count(&self.running),
            dead: u64::try_from(self.dead.len()).unwrap_or(u64::MAX),
            oldest_due: self
                .due
                .first()
                .map(|(due, _)| Duration::from_millis(now.saturating_sub(*due))),
            now,
        }
    }

    /// Each call goes from one order to the other once for each time that it waits: looking costs what has changed.
    fn look_at_the_time(&mut self, now: u64) {
        while let Some(place) = self.delayed.first().filter(|(due, _)| *due <= now).copied() {
            self.delayed.remove(&place);
            self.due.insert(place);
        }
    }

    pub(super) fn page(&mut self, standing: Standing, offset: u64, limit: u32, now: u64) -> Vec<CallRecord> {
        self.look_at_the_time(now);
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let in_order = |order: &Order| order.iter().skip(offset).take(limit).map(|(_, id)| *id).collect();
        let ids: Vec<Uuid> = match standing {
            Standing::Due => in_order(&self.due),
            Standing::Delayed => in_order(&self.delayed),
            Standing::Running => in_order(&self.running),
            Standing::Dead => self.dead.values().rev().skip(offset).take(limit).copied().collect(),
        };
        ids.into_iter().filter_map(|id| self.record(id, now)).collect()
    }

    pub(super) fn find(&self, id: Uuid, now: u64) -> Found {
        match (self.record(id, now), self.ended.get(&id)) {
            (Some(record), _) => Found::Call(Box::new(record)),
            (None, Some(end)) => end.clone(),
            (None, None) => Found::Nothing,
        }
    }

    fn record(&self, id: Uuid, now: u64) -> Option<CallRecord> {
        let call = self.calls.get(&id)?;
        let (standing, at, worker) = match &call.place {
            Place::Waiting { .. } if call.due <= now => (Standing::Due, call.due, None),
            Place::Waiting { .. } => (Standing::Delayed, call.due, None),
            Place::Running { until, worker, .. } => (Standing::Running, *until, Some(worker.clone())),
            Place::Dead { since: (since, _) } => (Standing::Dead, *since, None),
        };
        Some(CallRecord {
            id,
            standing,
            lane: call.lane.clone(),
            payload: call.payload.clone(),
            stored: call.stored,
            at,
            tried: call.tried,
            attempts: call.attempts,
            worker,
            cause: call.cause.clone(),
            error: call.error.clone(),
        })
    }
}
