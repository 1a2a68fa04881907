//! The table at the end, and the lines until then.

use std::time::Duration;

use crate::flags::Plan;
use crate::holds::Verdict;
use crate::record::Record;
use crate::resource::Counted;

/// What was found when everything had come to rest.
pub(crate) struct Findings {
    pub(crate) counted: Counted,
    pub(crate) holds: Verdict,
    /// What happened after which servers may have forgotten locks: without it, no two holds may overlap.
    pub(crate) forgetful: Vec<&'static str>,
    /// The locks that were still held when a ttl was over since the last client had ended.
    pub(crate) left_over: Vec<String>,
}

/// One line while it goes on.
pub(crate) fn progress(passed: Duration, record: &Record) -> String {
    format!(
        "{:>5} s  {} acquired, {} conflicts, {} unknown, {} unavailable, {} lost; {} faults, the latest: {}",
        passed.as_secs(),
        record.acquired,
        record.conflicts,
        record.unknowns,
        record.unavailable,
        sum(record.lost.values()),
        sum(record.faults.values()),
        if record.latest.is_empty() {
            "none"
        } else {
            &record.latest
        },
    )
}

/// The whole table.
pub(crate) fn table(plan: &Plan, took: Duration, record: &Record, findings: &Findings) -> String {
    let (counted, holds) = (&findings.counted, &findings.holds);
    let rows = [
        ("topology", plan.topology.to_string()),
        ("seed", plan.seed.to_string()),
        (
            "fences",
            if plan.without_fences { "not checked" } else { "checked" }.to_owned(),
        ),
        ("time", format!("{:.0} s", took.as_secs_f64())),
        (
            "clients",
            format!(
                "{} at a time with {} tasks each, {} in all",
                plan.clients, plan.tasks, record.clients
            ),
        ),
        (
            "faults",
            by_name(record.faults.iter().map(|(name, count)| (*name, *count))),
        ),
        ("acquisitions", record.acquired.to_string()),
        ("conflicts", record.conflicts.to_string()),
        ("unknowns, cleared up", record.unknowns.to_string()),
        ("unavailable", record.unavailable.to_string()),
        ("releases without an answer", record.unreleased.to_string()),
        (
            "leases lost",
            by_name(record.lost.iter().map(|(name, count)| (name.as_str(), *count))),
        ),
        ("from loss to the body's end", percentiles(&record.reactions())),
        (overlaps_name(findings), overlaps(holds)),
        ("updates", counted.accepted.to_string()),
        ("stale reads that fences stopped", counted.stale_reads.to_string()),
        ("stale writes that fences stopped", counted.stale_writes.to_string()),
        ("fences given twice (must be 0)", counted.repeated.to_string()),
        ("fences that went back (must be 0)", holds.backwards.to_string()),
        ("lost updates (must be 0)", counted.lost.to_string()),
        ("keys left over (must be 0)", findings.left_over.len().to_string()),
        ("clients that crashed (must be 0)", record.crashed.to_string()),
        ("errors of another kind (must be 0)", record.wrongs.to_string()),
    ];
    let mut text: String = rows
        .iter()
        .map(|(name, value)| format!("{name:<36}{value}\n"))
        .collect();
    for what in &record.wrong {
        text += &format!("  another error: {what}\n");
    }
    for key in &findings.left_over {
        text += &format!("  left over: {key}\n");
    }
    text
}

/// Whether the run is one to be content with.
pub(crate) fn is_well(record: &Record, findings: &Findings) -> bool {
    let counted = &findings.counted;
    let broken = [
        counted.lost,
        counted.repeated,
        findings.holds.backwards,
        record.crashed,
        record.wrongs,
    ];
    let overlaps_are_allowed = !findings.forgetful.is_empty() || findings.holds.overlaps == 0;
    broken == [0; 5]
        && overlaps_are_allowed
        && findings.left_over.is_empty()
        && record.acquired > 0
        && counted.accepted > 0
}

fn sum<'a>(counts: impl Iterator<Item = &'a u64>) -> u64 {
    counts.sum()
}

/// `3: one 1, other 2`
fn by_name<'a>(counts: impl Iterator<Item = (&'a str, u64)>) -> String {
    let counts: Vec<_> = counts.collect();
    let all: u64 = counts.iter().map(|(_, count)| count).sum();
    if counts.is_empty() {
        return all.to_string();
    }
    let named: Vec<_> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    format!("{all}: {}", named.join(", "))
}

fn overlaps_name(findings: &Findings) -> &'static str {
    if findings.forgetful.is_empty() {
        "overlaps (must be 0)"
    } else {
        "overlaps"
    }
}

fn overlaps(holds: &Verdict) -> String {
    if holds.overlaps == 0 {
        "0".to_owned()
    } else {
        format!("{}, the longest {:.0?}", holds.overlaps, holds.longest)
    }
}

/// Of times in nanoseconds.
fn percentiles(times: &[u64]) -> String {
    let mut times = times.to_vec();
    times.sort_unstable();
    let at = |hundredths: usize| {
        let index = (times.len() * hundredths / 100).min(times.len().checked_sub(1)?);
        times.get(index).map(|nanos| Duration::from_nanos(*nanos))
    };
    match (at(50), at(99), at(100)) {
        (Some(half), Some(most), Some(all)) => format!("p50 {half:.1?}, p99 {most:.1?}, max {all:.1?}"),
        _ => "no loss".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_times() {
        let times: Vec<u64> = (1..=200).rev().map(|number| number * 1_000_000).collect();
        assert_eq!(percentiles(&times), "p50 101.0ms, p99 199.0ms, max 200.0ms");
        assert_eq!(percentiles(&[]), "no loss");
    }

    #[test]
    fn counts_by_name_begin_with_their_sum() {
        assert_eq!(by_name([("one", 1), ("other", 2)].into_iter()), "3: one 1, other 2");
        assert_eq!(by_name([].into_iter()), "0");
    }
}
