//! The table of the figures to reach, with what was measured beside each.

use crate::table::{aligned, number};
use crate::{Limit, Row, Verdict};

/// A line for each row that has a figure to reach.
#[must_use]
pub fn summary(rows: &[Row]) -> String {
    let head = ["what", "reach", "best peer before", "measured", ""].map(str::to_owned);
    let mut lines = vec![head.to_vec()];
    for row in rows.iter().filter(|row| !row.target.is_empty()) {
        let verdicts = row.verdicts();
        let measured: Vec<_> = verdicts.iter().map(words).collect();
        let reached = verdicts.iter().all(|verdict| verdict.reached);
        lines.push(vec![
            format!("{} ({})", row.what, row.name),
            row.target.clone(),
            row.peer.clone(),
            measured.join("; "),
            if reached { "reached" } else { "not reached" }.to_owned(),
        ]);
    }
    aligned(&lines)
}

fn words(verdict: &Verdict) -> String {
    let limit = match verdict.limit {
        Limit::AtMost(limit) => format!("≤ {limit}"),
        Limit::AtLeast(limit) => format!("≥ {limit}"),
    };
    let measured = verdict
        .measured
        .map_or("not measured".to_owned(), |value| number(Some(value)));
    let missed = if verdict.reached { "" } else { " ✗" };
    format!("{} {measured} ({limit}){missed}", verdict.text)
}

#[cfg(test)]
mod tests {
    //! Reached, and not.

    use super::summary;
    use crate::{Check, Row};

    #[test]
    fn each_row_says_whether_it_is_reached() {
        let mut good = Row::new(1, "one", "first")
            .target("2")
            .check(Check::value("p50", "ours", "p50").at_most(2.0));
        good.variant("ours").round(&[("p50", 1.5)]);
        let mut bad = Row::new(2, "two", "second")
            .target("2")
            .check(Check::value("p50", "ours", "p50").at_least(2.0));
        bad.variant("ours").round(&[("p50", 1.5)]);
        let text = summary(&[good, bad]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(lines[2].contains("p50 1.50 (≤ 2) ") && lines[2].contains(" reached"));
        assert!(lines[3].contains("p50 1.50 (≥ 2) ✗") && lines[3].contains("not reached"));
    }
}
