//! The heartbeat: renews what is due, in batches, and declares lost what is over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::backend::{Backend, Claim, EachRenewed};
use crate::clock::Clock;
use crate::hold::{Due, Hold, TOGETHER};
use crate::line::Lines;
use crate::prefetch::prefetch;
use crate::release;
use crate::schedule::Schedule;

/// How many leases one request renews: a script over so many keys blocks a server for about half a millisecond, which is
/// less than it takes for itself to look for keys that have expired (up to 1 ms at a time).
const BATCH: usize = 250;

/// Runs until its runtime ends or the manager is shut down. There is one for each timeline, started with its first
/// hold.
pub(crate) async fn drive(schedule: Arc<Schedule>, lines: Arc<Lines>, clock: Clock, backend: Arc<dyn Backend>) {
    let alive = Alive(schedule);
    loop {
        let rounds = rounds(Arc::clone(&alive.0), Arc::clone(&lines), clock, Arc::clone(&backend));
        // In a task of its own: a panic in there is a bug, but all renewals must not end with it (Redisson#6483).
        match tokio::spawn(rounds).await {
            Err(error) if error.is_panic() => {
                // Apart, too: it was a subscriber that panicked, perhaps.
                tokio::spawn(async move {
                    tracing::error!(%error, "the renewal of leases panicked and goes on; please report this");
                });
            }
            Ok(()) | Err(_) => return,
        }
    }
}

async fn rounds(schedule: Arc<Schedule>, lines: Arc<Lines>, clock: Clock, backend: Arc<dyn Backend>) {
    // After a panic, holds may have been taken out that nobody looks after.
    let holds = schedule.holds();
    for hold in &holds {
        hold.renewal_over();
    }
    schedule.update(&holds);
    drop(holds);
    let mut disturbances = backend.disturbances();
    while !schedule.is_stopped() {
        let now = clock.now();
        // By patience, in powers of two: a short lease must not cut the time of long ones.
        let mut batches: BTreeMap<u32, Asked> = BTreeMap::new();
        for hold in schedule.take_due(now.plus(TOGETHER)) {
            if hold.due(now) == Due::Nothing {
                schedule.update([&hold]);
                continue;
            }
            // While its answer is waited for, only an end that comes before that is of interest.
            if hold.next_event() < now.plus(hold.patience(now) * 2) {
                schedule.update([&hold]);
            }
            let patience = hold.patience(now).as_millis().max(1).ilog2();
            let batch = batches.entry(patience).or_insert_with(|| Asked::new(&schedule));
            batch.holds.push(hold);
            if batch.holds.len() == BATCH {
                let full = std::mem::replace(batch, Asked::new(&schedule));
                tokio::spawn(renew(full, clock, Arc::clone(&backend)));
            }
        }
        // A task of its own for each: a batch that hangs or panics stops no other one.
        for batch in batches.into_values().filter(|batch| !batch.holds.is_empty()) {
            tokio::spawn(renew(batch, clock, Arc::clone(&backend)));
        }
        schedule.ring(now);
        let next = schedule.next_look(now);
        // Every branch only wakes the loop, which looks at everything again: nothing is lost with the others.
        tokio::select! {
            biased;
            () = disturbed(&mut disturbances) => {
                // Nobody else begins under a lease that may be gone.
                lines.break_promises(None);
                schedule.hurry(clock.now());
            }
            () = schedule.changed() => {}
            () = clock.sleep_until(next) => {}
        }
    }
}

/// Resolves when the backend may have lost what it had. Cancel safe.
async fn disturbed(disturbances: &mut Option<watch::Receiver<u64>>) {
    if let Some(count) = disturbances
        && count.changed().await.is_ok()
    {
        return;
    }
    // The backend is gone, or has nothing to tell.
    std::future::pending().await
}

async fn renew(asked: Asked, clock: Clock, backend: Arc<dyn Backend>) {
    let holds: Vec<&Arc<Hold>> = asked.holds.iter().filter(|hold| !hold.has_ended()).collect();
    if holds.is_empty() {
        return;
    }
    let claims: Vec<(&Claim, Duration)> = holds.iter().map(|hold| (&hold.claim, hold.terms.ttl)).collect();
    // Before the request is sent: a lease is never believed to live longer than the server lets it.
    let sent = clock.now();
    let within = holds.iter().map(|hold| hold.patience(sent)).min().unwrap_or_default();
    let each: &EachRenewed<'_> = &|answers| {
        let answers: Vec<_> = answers
            .filter_map(|(index, answer)| Some((*holds.get(index)?, answer)))
            .collect();
        let now = clock.now();
        prefetch(answers.iter().map(|(hold, _)| &***hold));
        for (hold, answer) in answers {
            hold.renewed(sent, now, answer);
        }
    };
    backend.renew(&claims, within, each).await;
}

/// Holds whose renewal is under way; afterwards, however it ended (an answer, a panic, the end of its runtime), they
/// are scheduled again.
struct Asked {
    holds: Vec<Arc<Hold>>,
    schedule: Arc<Schedule>,
}

impl Asked {
    fn new(schedule: &Arc<Schedule>) -> Self {
        Self {
            holds: Vec::new(),
            schedule: Arc::clone(schedule),
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        for hold in &self.holds {
            hold.renewal_over();
        }
        self.schedule.update(&self.holds);
        for hold in self.holds.iter().filter(|hold| hold.has_ended()) {
            // The renewal may have overtaken the release, and armed what `hold_at_least` had shortened.
            release::after_late_renewal(hold);
        }
    }
}

/// Tells the schedule when the driver is gone.
struct Alive(Arc<Schedule>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.undriven();
    }
}

#[cfg(test)]
#[path = "tests/renewal.rs"]
mod tests;
