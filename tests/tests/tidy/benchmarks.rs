//! BENCHMARKS.md: what its last full run was made with, and that it is complete.

use std::collections::BTreeSet;

use crate::{assert_none, read};

const HEADING: &str = "\n## The last full run\n";

/// Before the last full run, and from there on.
fn parts() -> (String, String) {
    let text = read("BENCHMARKS.md");
    let (before, run) = text.split_once(HEADING).expect("it has its last full run");
    (before.to_owned(), run.to_owned())
}

#[test]
fn the_last_full_run_says_with_what_it_was_made_and_how_to_repeat_it() {
    let (before, run) = parts();
    assert!(before.contains("\ncargo xtask bench "), "how to repeat it");
    let made_with: Vec<_> = run.lines().filter(|line| line.starts_with("- ")).collect();
    for what in [" cores, ", "Linux", "rustc ", "Redis server v="] {
        assert!(
            made_with.iter().any(|line| line.contains(what)),
            "{what}: {made_with:?}"
        );
    }
}

#[test]
fn the_last_full_run_has_every_row_that_is_described_and_no_other() {
    let (before, run) = parts();
    let (_, rows) = before.split_once("\n## The rows\n").expect("its rows are described");
    let (rows, _) = rows.split_once("\n## ").unwrap();
    let names = rows
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    // Several are described together: `a`, `b-*`.
    let described: Vec<_> = names
        .flat_map(|names| names.split(", "))
        .map(|name| name.trim_matches('`'))
        .collect();
    let heading = |line: &str| Some(line.strip_prefix("### ")?.split_once(':')?.0.to_owned());
    let ran: BTreeSet<String> = run.lines().filter_map(heading).collect();
    assert!(ran.len() > 20, "this test does not find the rows: {ran:?}");
    let is = |name: &str, described: &str| match described.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == described || name.strip_prefix(described) == Some("-longer"),
    };
    let missing = described.iter().filter(|one| !ran.iter().any(|name| is(name, one)));
    assert_none(
        "described, and not in the last full run",
        missing.map(ToString::to_string),
    );
    let silent = ran.iter().filter(|name| !described.iter().any(|one| is(name, one)));
    assert_none("in the last full run, and not described", silent.cloned());
}
