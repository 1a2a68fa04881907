//! The table at the end.

use std::fmt;
use std::time::Duration;

use crate::flags::Plan;
use crate::judge::Findings;

pub(crate) struct Table {
    pub(crate) plan: Plan,
    pub(crate) storing: Duration,
    pub(crate) running: Duration,
    pub(crate) kills: u32,
    pub(crate) crashes: u32,
    pub(crate) findings: Findings,
    pub(crate) dead: usize,
    pub(crate) poison: usize,
    pub(crate) dead_are_the_poison: bool,
    pub(crate) left_over: usize,
}

impl Table {
    pub(crate) fn is_good(&self) -> bool {
        let Findings {
            duplicates_without_a_kill,
            order_violations,
            overlaps,
            missing,
            ..
        } = self.findings;
        duplicates_without_a_kill == 0
            && order_violations == 0
            && overlaps == 0
            && missing == 0
            && self.dead_are_the_poison
            && self.left_over == 0
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan {
            calls, keys, workers, ..
        } = self.plan;
        let rate = |time: Duration| f64::from(calls) / time.as_secs_f64();
        let findings = &self.findings;
        let mut row = |name: &str, value: String| writeln!(f, "{name:<52}{value}");
        row("calls, locks, worker processes", format!("{calls}, {keys}, {workers}"))?;
        row("stored a second", format!("{:.0}", rate(self.storing)))?;
        row(
            "run a second",
            format!("{:.0} ({:.1?})", rate(self.running), self.running),
        )?;
        row(
            "workers killed, crashed by poison",
            format!("{}, {}", self.kills, self.crashes),
        )?;
        row("runs", findings.runs.to_string())?;
        row("runs that a kill cut off", findings.interrupted.to_string())?;
        row("duplicates after a kill", findings.duplicates.to_string())?;
        row(
            "duplicates without a kill (must be 0)",
            findings.duplicates_without_a_kill.to_string(),
        )?;
        row("order violations (must be 0)", findings.order_violations.to_string())?;
        row("overlaps (must be 0)", findings.overlaps.to_string())?;
        row("calls that never ran (must be 0)", findings.missing.to_string())?;
        let exactly = if self.dead_are_the_poison { "exactly" } else { "NOT" };
        row(
            "dead (must be exactly the poison)",
            format!("{} of {}: {exactly} the poison", self.dead, self.poison),
        )?;
        row("locks left over (must be 0)", self.left_over.to_string())
    }
}
