//! Many seeds: on several threads, with a word now and then, and a table in the end.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::observer::Tally;
use crate::{Outcome, run};

/// How often there is a line about the progress.
const PROGRESS: Duration = Duration::from_secs(5);

/// How many servers a seed's run has.
#[derive(Debug, Clone, Copy)]
pub enum Servers {
    /// One for even seeds, five for odd ones.
    Both,
    /// So many.
    Always(usize),
}

/// Seeds to run.
pub struct Batch {
    /// From the first to behind the last.
    pub seeds: Range<u64>,
    /// How many servers each has.
    pub servers: Servers,
    /// On how many threads.
    pub threads: usize,
}

/// What came out.
#[derive(Default)]
pub struct Summary {
    /// So many seeds were run.
    pub seeds: u64,
    /// What happened in them.
    pub tally: Tally,
    /// The runs in which something was wrong.
    pub wrong: Vec<Outcome>,
    /// How long all of it took.
    pub took: Duration,
    simulated: Duration,
}

impl Servers {
    /// How many servers the run of a seed has.
    #[must_use]
    pub fn of(self, seed: u64) -> usize {
        match self {
            Self::Both if seed.is_multiple_of(2) => 1,
            Self::Both => 5,
            Self::Always(count) => count,
        }
    }
}

impl Batch {
    /// Runs them until something is wrong; `progress` is told a line now and then.
    pub fn run(&self, progress: impl Fn(String) + Sync) -> Summary {
        let began = Instant::now();
        let (next, stop) = (AtomicU64::new(self.seeds.start), AtomicBool::new(false));
        let shared = Mutex::new((Summary::default(), began));
        std::thread::scope(|scope| {
            for _ in 0..self.threads.max(1) {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= self.seeds.end {
                            return;
                        }
                        let outcome = run(seed, self.servers.of(seed), false);
                        if !outcome.violations.is_empty() {
                            stop.store(true, Ordering::Relaxed);
                        }
                        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
                        let (summary, said) = &mut *shared;
                        summary.add(outcome);
                        if said.elapsed() > PROGRESS {
                            *said = Instant::now();
                            progress(summary.progress(&self.seeds, began.elapsed()));
                        }
                    }
                });
            }
        });
        let (mut summary, _) = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
        summary.took = began.elapsed();
        summary
    }
}

impl Summary {
    fn add(&mut self, outcome: Outcome) {
        self.seeds += 1;
        self.simulated += outcome.simulated;
        self.tally.add(&outcome.tally);
        if !outcome.violations.is_empty() {
            self.wrong.push(outcome);
        }
    }

    fn progress(&self, seeds: &Range<u64>, took: Duration) -> String {
        format!(
            "{} of {} seeds in {:.0?}: {} acquisitions, {} violations",
            self.seeds,
            seeds.end - seeds.start,
            took,
            self.tally.acquired,
            self.wrong.len()
        )
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lost: u64 = self.tally.lost.values().sum();
        writeln!(f, "  {:<40} {:>12}", "seeds", self.seeds)?;
        write!(f, "{}", self.tally)?;
        writeln!(f, "  {:<40} {:>12}", "leases lost, all reasons", lost)?;
        writeln!(f, "  {:<40} {:>12}", "violations", self.wrong.len())?;
        let millis = self.took.as_secs_f64() * 1_000.0;
        #[allow(clippy::cast_precision_loss, reason = "for people")]
        let each = millis / self.seeds.max(1) as f64;
        writeln!(f, "  {:<40} {:>12.0?}", "simulated time", self.simulated)?;
        write!(f, "  {:<40} {:>9.1} ms", "time for a seed", each)?;
        for outcome in &self.wrong {
            write!(
                f,
                "\nseed {} with {} servers is wrong; `lock-sim --seed {} --servers {} --trace` prints it",
                outcome.seed, outcome.servers, outcome.seed, outcome.servers
            )?;
            for violation in &outcome.violations {
                write!(f, "\n  {violation}")?;
            }
        }
        Ok(())
    }
}
