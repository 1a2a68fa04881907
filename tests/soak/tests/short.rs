//! A soak of the size that fits between other tests: it must find nothing, and must have had something to find.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails, and says why"
)]

use std::process::Command;

#[test]
fn every_call_runs_at_least_once_in_its_order_and_under_its_lock_though_workers_are_killed() {
    let output = Command::new(env!("CARGO_BIN_EXE_lock-soak"))
        .args([
            "run",
            "--calls",
            "20000",
            "--keys",
            "500",
            "--workers",
            "4",
            "--kill-every-ms",
            "700",
        ])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}", output.status);
    let number = |name: &str| -> u64 {
        let row = text
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap()
            .trim_start();
        let digits: String = row.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap()
    };
    assert!(
        number("workers killed, crashed by poison") >= 3,
        "too few kills to show anything"
    );
    assert!(number("runs that a kill cut off") >= 1, "no kill has hit a run");
}
