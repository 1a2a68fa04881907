//! How often what happened.

use std::collections::BTreeMap;
use std::fmt;

use lock_runtime::LostReason;

/// Counts over one run, or over many.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Leases that were given out.
    pub acquired: u64,
    /// Acquires that found another holder until their time was over.
    pub conflicts: u64,
    /// Acquires without a definite answer.
    pub unavailable: u64,
    /// Acquires that were given up half-way.
    pub abandoned: u64,
    /// Re-entries into a hold.
    pub reentered: u64,
    /// Writes that a fence stopped.
    pub refused: u64,
    /// What broke a rule where clocks or data were beyond what is promised.
    pub allowed: u64,
    /// Locks that a request took which arrived when its manager was shut down.
    pub late: u64,
    /// Losses that were told, by reason.
    pub lost: BTreeMap<String, u64>,
}

impl Tally {
    pub(super) fn lose(&mut self, reason: LostReason) {
        *self.lost.entry(format!("{reason:?}").to_lowercase()).or_default() += 1;
    }

    /// Adds another run's counts.
    pub fn add(&mut self, other: &Self) {
        for (sum, more) in [
            (&mut self.acquired, other.acquired),
            (&mut self.conflicts, other.conflicts),
            (&mut self.unavailable, other.unavailable),
            (&mut self.abandoned, other.abandoned),
            (&mut self.reentered, other.reentered),
            (&mut self.refused, other.refused),
            (&mut self.allowed, other.allowed),
            (&mut self.late, other.late),
        ] {
            *sum += more;
        }
        for (reason, count) in &other.lost {
            *self.lost.entry(reason.clone()).or_default() += count;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |name: &str, count: u64| writeln!(f, "  {name:<40} {count:>12}");
        line("acquisitions", self.acquired)?;
        line("conflicts", self.conflicts)?;
        line("unavailable (no definite answer)", self.unavailable)?;
        line("acquires given up half-way", self.abandoned)?;
        line("re-entries", self.reentered)?;
        for (reason, count) in &self.lost {
            line(&format!("leases lost: {reason}"), *count)?;
        }
        line("stale writes that fences stopped", self.refused)?;
        line("overlaps beyond the promised bounds", self.allowed)?;
        line("locks that came after a shutdown", self.late)
    }
}
