//! `cargo xtask ui`: the compile-time tests and the snapshots of expansions.

use anyhow::{Context, Result};

use crate::shell::Shell;

/// Runs them, or writes the new output over the expected one.
///
/// # Errors
/// When output differs; with `bless`, when it cannot be produced.
pub(crate) fn run(shell: &Shell, bless: bool) -> Result<()> {
    let mut command = shell.cargo(["test", "--package", "lock-tests", "--test", "ui"]);
    if bless {
        command.env("TRYBUILD", "overwrite");
    }
    let ended = shell.run(&mut command);
    if bless {
        ended
    } else {
        ended.context("`cargo xtask ui --bless` accepts the new output, `git diff` shows it")
    }
}
