//! `cargo xtask bench`: what a lock costs, beside the raw client and other libraries.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::redis;
use crate::shell::Shell;

/// The programs of `tests/bench`. Each measures the rows that it has; the first prints the tables of all.
const PROGRAMS: [&str; 2] = ["lock-bench", "local-bench"];
const MANIFEST: &str = "tests/bench/Cargo.toml";

/// Builds and runs the programs, and prints what they have found.
///
/// # Errors
/// When there is no `redis-server`, something cannot be built, or no row has that name.
pub(crate) fn run(shell: &Shell, only: Option<&str>, quick: bool) -> Result<()> {
    redis::provide(shell, &redis::find(shell))?;
    let folder = shell.target().join("bench");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    forget(&folder)?;
    shell.run(cargo(shell, "build").arg("--release"))?;
    for program in PROGRAMS {
        let mut command = program_of(shell, program);
        command.arg("run").arg("--folder").arg(&folder);
        if let Some(row) = only {
            command.args(["--only", row]);
        }
        if quick {
            command.arg("--quick");
        }
        shell.run(&mut command)?;
    }
    shell.run(program_of(shell, PROGRAMS[0]).arg("table").arg("--folder").arg(&folder))
}

/// The workspace of the bench as the root's, because that does not know it: format, clippy, tests.
///
/// # Errors
/// When one of them has something to say.
pub(crate) fn check(shell: &Shell) -> Result<()> {
    shell.run(
        shell
            .cargo(["fmt", "--all", "--check", "--manifest-path"])
            .arg(MANIFEST),
    )?;
    let warnings = ["--locked", "--all-targets", "--", "-D", "warnings"];
    shell.run(cargo(shell, "clippy").args(warnings))?;
    shell.run(cargo(shell, "test").arg("--locked"))
}

/// What an earlier run has found must not be taken for something that this one did; what was downloaded stays.
fn forget(folder: &Path) -> Result<()> {
    let results = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    for path in results.collect::<std::io::Result<Vec<PathBuf>>>()? {
        if path
            .extension()
            .is_some_and(|ending| ["json", "svg", "md"].iter().any(|result| ending == *result))
        {
            std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

fn cargo(shell: &Shell, task: &str) -> Command {
    let mut command = shell.cargo([task, "--manifest-path", MANIFEST]);
    command.env("CARGO_TARGET_DIR", built(shell));
    command
}

fn program_of(shell: &Shell, name: &str) -> Command {
    shell.command(built(shell).join("release").join(name))
}

/// Where the workspace of the bench is built.
fn built(shell: &Shell) -> PathBuf {
    shell.target().join("bench-build")
}
