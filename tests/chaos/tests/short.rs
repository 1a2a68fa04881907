//! One short run for each topology: it must find nothing, and must have had something to find.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails, and says why"
)]

use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// One at a time: each has up to nine servers and several clients, and measures how they get on.
static ALONE: Mutex<()> = Mutex::new(());

/// Runs the program for some seconds, and gives its table. The seed decides what happens first.
fn table_of(topology: &str, seed: u32) -> Table {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let output = Command::new(env!("CARGO_BIN_EXE_lock-chaos"))
        .args(["--topology", topology, "--seed", &seed.to_string()])
        .args(["--seconds", "9", "--clients", "3", "--tasks", "6"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}", output.status);
    Table(text)
}

/// What the program printed.
struct Table(String);

impl Table {
    /// What stands behind the name of this row.
    fn row(&self, name: &str) -> &str {
        let row = self.0.lines().find_map(|line| line.strip_prefix(name));
        row.unwrap_or_else(|| panic!("no row `{name}`")).trim_start()
    }

    /// The number at the beginning of a row.
    fn number(&self, name: &str) -> u64 {
        let row = self.row(name);
        let digits: String = row.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap_or_else(|_| panic!("no number: `{name}` {row}"))
    }

    /// Its zeros, and that there were locks and these faults.
    fn shows_that_nothing_was_lost_in_spite_of(&self, faults: &[&str]) {
        for name in [
            "fences given twice (must be 0)",
            "fences that went back (must be 0)",
            "lost updates (must be 0)",
            "keys left over (must be 0)",
            "clients that crashed (must be 0)",
            "errors of another kind (must be 0)",
        ] {
            assert_eq!(self.number(name), 0, "{name}");
        }
        for name in ["acquisitions", "updates"] {
            assert!(self.number(name) > 50, "too few {name} to show anything");
        }
        let happened = self.row("faults");
        for fault in faults.iter().chain(&["kill a client", "pause a client"]) {
            assert!(happened.contains(&format!("{fault} ")), "no `{fault}` among {happened}");
        }
    }
}

#[test]
fn nothing_is_lost_with_one_server() {
    table_of("single", 2093).shows_that_nothing_was_lost_in_spite_of(&["flush", "kill"]);
}

#[test]
fn nothing_is_lost_behind_sentinels() {
    table_of("sentinel", 75).shows_that_nothing_was_lost_in_spite_of(&["fail-over"]);
}

#[test]
fn nothing_is_lost_in_a_cluster() {
    table_of("cluster", 125).shows_that_nothing_was_lost_in_spite_of(&["fail-over"]);
}

#[test]
fn nothing_is_lost_with_independent_servers() {
    table_of("redlock", 1872).shows_that_nothing_was_lost_in_spite_of(&["restart", "kill"]);
}
