//! `cargo xtask ui`: the compile-time tests and the snapshots of expansions.

use anyhow::{Context, Result};

use crate::shell::Shell;

/// Runs them, or writes the new output over the expected one.
///
/// # Errors
/// When output differs; with `bless`, when it cannot be produced.
pub(crate) fn run(shell: &Shell, bless: bool) -> Result<()> {
    let mut expansions = shell.cargo(["test", "--package", "lock-macros", "--lib"]);
    let mut messages = shell.cargo(["test", "--package", "lock-tests", "--test", "ui"]);
    if bless {
        expansions.env("UPDATE_EXPECT", "1");
        messages.env("TRYBUILD", "overwrite");
    }
    let expansions = shell.run(&mut expansions);
    let messages = shell.run(&mut messages);
    let ended = expansions.and(messages);
    if bless {
        ended
    } else {
        ended.context("`cargo xtask ui --bless` accepts the new output, `git diff` shows it")
    }
}
