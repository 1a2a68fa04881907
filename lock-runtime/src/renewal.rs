//! The heartbeat: renews what is due, in batches, and declares lost what is over.

use std::sync::Arc;
use std::time::Duration;

use crate::backend::{Backend, Claim};
use crate::clock::Clock;
use crate::hold::{Due, Hold};
use crate::schedule::Schedule;

/// How many leases one request renews: a script over a hundred keys blocks a server for about 0.15 ms.
const BATCH: usize = 100;

/// Runs until its runtime ends or the manager is shut down. There is one for each timeline, started with its first
/// hold.
pub(crate) async fn drive(schedule: Arc<Schedule>, clock: Clock, backend: Arc<dyn Backend>) {
    let alive = Alive(schedule);
    loop {
        let rounds = rounds(Arc::clone(&alive.0), clock, Arc::clone(&backend));
        // In a task of its own: a panic in there is a bug, but all renewals must not end with it (Redisson#6483).
        match tokio::spawn(rounds).await {
            Err(error) if error.is_panic() => {
                tracing::error!(%error, "the renewal of leases panicked and goes on; please report this");
            }
            Ok(()) | Err(_) => return,
        }
    }
}

async fn rounds(schedule: Arc<Schedule>, clock: Clock, backend: Arc<dyn Backend>) {
    while !schedule.is_stopped() {
        let now = clock.now();
        let mut batch = Vec::new();
        for hold in schedule.take_due(now) {
            if hold.due(now) == Due::Renewal {
                batch.push(Arc::clone(&hold));
            }
            schedule.update(&hold);
        }
        for holds in batch.chunks(BATCH) {
            // A task of its own for each: a batch that hangs or panics stops no other one.
            let batch = renew(holds.to_vec(), Arc::clone(&schedule), clock, Arc::clone(&backend));
            tokio::spawn(batch);
        }
        let next = schedule.next_look();
        // Both branches only wake the loop, which looks at everything again: nothing is lost with the other one.
        tokio::select! {
            () = clock.sleep_until(next) => {}
            () = schedule.changed() => {}
        }
    }
}

async fn renew(holds: Vec<Arc<Hold>>, schedule: Arc<Schedule>, clock: Clock, backend: Arc<dyn Backend>) {
    // If this is dropped half-way (its runtime ends, a panic), the holds must not wait for an answer for ever.
    let asked = Asked { holds, schedule };
    let claims: Vec<(&Claim, Duration)> = asked.holds.iter().map(|hold| (&hold.claim, hold.terms.ttl)).collect();
    let within = asked.holds.iter().map(|hold| hold.patience()).min().unwrap_or_default();
    // Before the request is sent: a lease is never believed to live longer than the server lets it.
    let sent = clock.now();
    let answers = backend.renew(&claims, within).await;
    for (hold, answer) in asked.holds.iter().zip(answers) {
        hold.renewed(sent, clock.now(), answer);
    }
}

/// Holds whose renewal is under way; afterwards, however it ended, they are scheduled again.
struct Asked {
    holds: Vec<Arc<Hold>>,
    schedule: Arc<Schedule>,
}

impl Drop for Asked {
    fn drop(&mut self) {
        for hold in &self.holds {
            hold.renewal_over();
            self.schedule.update(hold);
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
