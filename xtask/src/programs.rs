//! `cargo xtask sim`, `chaos`, `soak` and `scale`: programs of the workspace with their own command lines.

use std::ffi::OsString;

use anyhow::Result;

use crate::redis;
use crate::shell::Shell;

/// The deterministic simulation: many seeds, so it is built for speed.
///
/// # Errors
/// When it cannot be built, or finds something.
pub(crate) fn simulation(shell: &Shell, arguments: &[OsString]) -> Result<()> {
    run(shell, "lock-sim", &[], arguments)
}

/// Real servers and processes, and what happens to them.
///
/// # Errors
/// When there is no `redis-server`, or anything is lost.
pub(crate) fn chaos(shell: &Shell, arguments: &[OsString]) -> Result<()> {
    redis::provide(shell, &redis::find(shell))?;
    run(shell, "lock-chaos", &[], arguments)
}

/// Stored calls and killed workers.
///
/// # Errors
/// When there is no `redis-server`, or a promise was not kept.
pub(crate) fn soak(shell: &Shell, arguments: &[OsString]) -> Result<()> {
    redis::provide(shell, &redis::find(shell))?;
    run(shell, "lock-soak", &["run"], arguments)
}

/// A short and a long queue, side by side.
///
/// # Errors
/// When there is no `redis-server`.
pub(crate) fn scale(shell: &Shell, arguments: &[OsString]) -> Result<()> {
    redis::provide(shell, &redis::find(shell))?;
    run(shell, "lock-soak", &["scale"], arguments)
}

fn run(shell: &Shell, program: &str, task: &[&str], arguments: &[OsString]) -> Result<()> {
    let mut command = shell.cargo(["run", "--release", "--package", program, "--"]);
    shell.run(command.args(task).args(arguments))
}
