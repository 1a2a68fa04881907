//! `cargo xtask mutants`: is every line that matters held by a test? One change at a time, and the tests must notice.

use std::ffi::OsString;

use anyhow::{Context, Result, bail, ensure};

use crate::redis;
use crate::shell::Shell;

/// Files that the same tests look at. Which files at all, and which changes no test can see, says `.cargo/mutants.toml`.
struct Group {
    name: &'static str,
    /// The files of the others.
    without: &'static [&'static str],
    /// Quick tests first: each stage looks only at the changes that the ones before have missed.
    stages: &'static [Stage],
}

struct Stage {
    /// What `cargo test` builds and runs beside the changed package: without doctests and what must not compile, which
    /// would take minutes for each change.
    tests: &'static [&'static str],
    /// Which tests of them; empty: all.
    only: &'static [&'static str],
    /// On the in-process backend only.
    without_redis: bool,
}

/// The unit tests of the changed package: seconds for each change.
const UNITS: Stage = Stage {
    tests: &["--lib"],
    only: &[],
    without_redis: false,
};

const GROUPS: [Group; 3] = [
    Group {
        name: "macros",
        without: &["lock-runtime/**"],
        stages: &[UNITS],
    },
    Group {
        name: "lease",
        without: &["lock-macros/**", "lock-runtime/src/backend/**"],
        stages: &[
            UNITS,
            Stage {
                tests: &[
                    "--package=lock-sim",
                    "--package=lock-tests",
                    "--lib",
                    "--test=seeds",
                    "--test=late",
                    "--test=behaviour",
                ],
                only: &[],
                without_redis: true,
            },
            Stage {
                tests: &["--package=lock-tests", "--lib", "--test=behaviour", "--test=faults"],
                only: &[],
                without_redis: false,
            },
        ],
    },
    Group {
        name: "redlock",
        without: &["lock-macros/**", "lock-runtime/src/*.rs"],
        stages: &[
            UNITS,
            Stage {
                tests: &["--package=lock-sim", "--lib", "--test=seeds"],
                only: &[],
                without_redis: true,
            },
            Stage {
                tests: &["--package=lock-tests", "--lib", "--test=topologies"],
                only: &["redlock"],
                without_redis: false,
            },
        ],
    },
];

/// What cargo-mutants ends with when changes were not noticed, or tests did not end.
const MISSED: [i32; 2] = [2, 3];

/// Runs every group, with `arguments` for cargo-mutants (`--list`, `--re`, `--shard`, …). What it says is in
/// `target/mutants`.
///
/// # Errors
/// When cargo-mutants or `redis-server` is not installed, or a change survives.
pub(crate) fn run(shell: &Shell, arguments: &[OsString]) -> Result<()> {
    let installed = shell.succeeds(&mut shell.cargo(["mutants", "--version"]));
    ensure!(
        installed,
        "there is no `cargo mutants`: install it by `cargo install cargo-mutants --locked`"
    );
    redis::provide(shell, &redis::find(shell))?;
    let mut survived = Vec::new();
    for group in &GROUPS {
        if let Err(error) = mutate(shell, group, arguments) {
            eprintln!("{}: {error:#}", group.name);
            survived.push(group.name);
        }
    }
    ensure!(
        survived.is_empty(),
        "not every change was noticed: {}",
        survived.join(", ")
    );
    Ok(())
}

fn mutate(shell: &Shell, group: &Group, arguments: &[OsString]) -> Result<()> {
    let output = shell.target().join("mutants").join(group.name);
    std::fs::create_dir_all(&output).with_context(|| format!("cannot make {}", output.display()))?;
    for (index, stage) in group.stages.iter().enumerate() {
        let mut command = shell.cargo(["mutants", "--output"]);
        command.arg(&output);
        if index > 0 {
            command.arg("--iterate");
        }
        for glob in group.without {
            command.args(["--exclude", glob]);
        }
        for argument in stage.tests {
            command.arg(format!("--cargo-arg={argument}"));
        }
        command.args(arguments);
        if !stage.only.is_empty() {
            // Once for cargo-mutants, once for `cargo test`.
            command.args(["--", "--"]).args(stage.only);
        }
        if std::env::var_os("RUST_TEST_THREADS").is_none() {
            // The tests mostly wait, for a ttl or for a server.
            command.env("RUST_TEST_THREADS", "4");
        }
        if stage.without_redis {
            command.env("LOCK_TESTS_WITHOUT_REDIS", "1");
        }
        let status = shell.status(&mut command)?;
        match status.code() {
            Some(0) => return Ok(()),
            Some(code) if MISSED.contains(&code) && index + 1 < group.stages.len() => {}
            _ => bail!("cargo mutants: {status}"),
        }
    }
    Ok(())
}
