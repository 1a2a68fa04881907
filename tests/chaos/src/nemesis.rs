//! Who breaks things: one hand for the servers, one for the clients, each with a seed of its own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use fastrand::Rng;

use crate::clients::Clients;
use crate::record::Shared;
use crate::servers::{Fault, Servers};

/// How long things are broken, and how long they are left alone in between; in milliseconds.
const BROKEN: std::ops::Range<u64> = 200..4000;
const CALM: std::ops::Range<u64> = 200..2000;

/// What is shorter than this breaks nothing.
const SHORTEST: Duration = Duration::from_millis(200);

/// Until when.
pub(crate) struct Span<'a> {
    start: Instant,
    length: Duration,
    /// One hand is done, or has failed: the other one stops too.
    stop: &'a AtomicBool,
}

impl<'a> Span<'a> {
    /// From now on.
    pub(crate) fn new(length: Duration, stop: &'a AtomicBool) -> Self {
        Span {
            start: Instant::now(),
            length,
            stop,
        }
    }

    /// How long so far.
    pub(crate) fn passed(&self) -> Duration {
        self.start.elapsed()
    }

    /// A fault's length: in a short run shorter ones, or there would be few; `None`: it is over.
    fn fault(&self, random: &mut Rng) -> Option<Duration> {
        let left = self.length.saturating_sub(self.passed());
        let drawn = Duration::from_millis(random.u64(BROKEN));
        let over = left < SHORTEST || self.stop.load(Ordering::SeqCst);
        (!over).then_some(drawn.min(self.length / 5).min(left))
    }

    /// A pause between two faults.
    fn calm(&self, random: &mut Rng) {
        let drawn = Duration::from_millis(random.u64(CALM));
        thread::sleep(
            drawn
                .min(self.length / 12)
                .min(self.length.saturating_sub(self.passed())),
        );
    }
}

/// Lets these faults happen to servers until the time is over.
///
/// # Errors
/// When a server does not do what it is told.
pub(crate) fn break_servers(
    servers: &mut dyn Servers,
    faults: &[Fault],
    span: &Span<'_>,
    mut random: Rng,
    record: &Shared,
) -> Result<()> {
    // Each kind has its turn before one comes again.
    let mut turns: Vec<Fault> = Vec::new();
    span.calm(&mut random);
    while let Some(length) = span.fault(&mut random) {
        if turns.is_empty() {
            turns = faults.to_vec();
            random.shuffle(&mut turns);
        }
        let Some(fault) = turns.pop() else { break };
        let what = servers
            .strike(fault, length, &mut random)
            .with_context(|| format!("while it was the turn of `{}`", fault.name()))?;
        record.lock().struck(fault.name(), what);
        span.calm(&mut random);
    }
    Ok(())
}

/// Kills and pauses clients until the time is over.
///
/// # Errors
/// When no new client can be started.
pub(crate) fn break_clients(clients: &mut Clients, span: &Span<'_>, mut random: Rng, record: &Shared) -> Result<()> {
    span.calm(&mut random);
    while let Some(length) = span.fault(&mut random) {
        if random.u8(..3) == 0 {
            clients.kill_one(&mut random)?;
            record.lock().struck("kill a client", "kill a client".to_owned());
        } else {
            clients.pause_one(length, &mut random);
            let what = format!("pause a client ({:.1} s)", length.as_secs_f64());
            record.lock().struck("pause a client", what);
        }
        span.calm(&mut random);
    }
    Ok(())
}
