//! `cargo xtask ci`: everything that must hold before a change is merged.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::shell::Shell;
use crate::{bench, instructions, test};

/// The oldest toolchain that the packages promise to work with.
const OLDEST: &str = env!("CARGO_PKG_RUST_VERSION");

type Step = (&'static str, fn(&Shell) -> Result<()>);

/// In the order in which they fail soonest.
const STEPS: &[Step] = &[
    ("format", format),
    ("clippy", clippy),
    ("clippy without features", clippy_without_features),
    ("documentation", documentation),
    ("test", test::run),
    ("bench", bench::check),
    ("instructions", instructions::check),
    ("examples", examples),
    ("package", package),
    ("oldest toolchain", oldest_toolchain),
];

/// Runs every step, also after one has failed, and says at the end how each went.
///
/// # Errors
/// When a step failed.
pub(crate) fn run(shell: &Shell) -> Result<()> {
    let mut report = Vec::new();
    for (name, step) in STEPS {
        let start = Instant::now();
        let result = step(shell);
        if let Err(error) = &result {
            eprintln!("{name}: {error:#}");
        }
        report.push((*name, start.elapsed(), result));
    }

    println!();
    for (name, took, result) in &report {
        println!("{}", line(name, *took, result));
    }
    let failed: Vec<_> = report
        .iter()
        .filter(|(_, _, result)| result.is_err())
        .map(|(name, ..)| *name)
        .collect();
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

fn line(name: &str, took: Duration, result: &Result<()>) -> String {
    let took = took.as_secs();
    match result {
        Ok(()) => format!("{name:<24} ok      {took:>4} s"),
        Err(error) => format!("{name:<24} FAILED  {took:>4} s  {error:#}"),
    }
}

fn format(shell: &Shell) -> Result<()> {
    shell
        .run(&mut shell.cargo(["fmt", "--all", "--check"]))
        .context("`cargo fmt --all` puts it right")
}

/// `--locked` here, once: a lock file that does not fit the manifests is a mistake too.
fn clippy(shell: &Shell) -> Result<()> {
    let arguments = [
        "clippy",
        "--locked",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ];
    shell.run(&mut shell.cargo(arguments))
}

fn clippy_without_features(shell: &Shell) -> Result<()> {
    let arguments = [
        "clippy",
        "--package",
        "lock-runtime",
        "--no-default-features",
        "--",
        "-D",
        "warnings",
    ];
    shell.run(&mut shell.cargo(arguments))
}

fn documentation(shell: &Shell) -> Result<()> {
    let mut command = shell.cargo(["doc", "--workspace", "--no-deps"]);
    shell.run(command.env("RUSTDOCFLAGS", "-D warnings"))
}

/// As the README types it; what the examples print and answer is checked by the tests.
fn examples(shell: &Shell) -> Result<()> {
    shell.run(&mut shell.cargo(["run", "--bin", "quickstart"]))?;
    shell.run(&mut shell.cargo(["run", "--bin", "nightly"]))?;
    shell.run(&mut shell.cargo(["run", "--bin", "queue_orders"]))
}

/// Both libraries as crates.io would get them, built from there. A change that is not committed yet
/// may be checked, hence `--allow-dirty`.
fn package(shell: &Shell) -> Result<()> {
    let arguments = [
        "package",
        "--allow-dirty",
        "--package",
        "lock-macros",
        "--package",
        "lock-runtime",
    ];
    shell.run(&mut shell.cargo(arguments))
}

/// Where that toolchain is not installed, clippy (`incompatible_msrv`) and the tidy test (what the
/// dependencies declare) are all there is.
fn oldest_toolchain(shell: &Shell) -> Result<()> {
    let rustup = |arguments: &[&str]| {
        let mut command = shell.command("rustup");
        // Without it, asking would be installing.
        command
            .env("RUSTUP_AUTO_INSTALL", "0")
            .args(["run", OLDEST])
            .args(arguments);
        command
    };
    if !shell.succeeds(&mut rustup(&["rustc", "--version"])) {
        println!("skipped: Rust {OLDEST} is not installed (`rustup toolchain install {OLDEST} --profile minimal`)");
        return Ok(());
    }
    let mut command = rustup(&["cargo", "check", "--workspace"]);
    // Another compiler's output in the same folder would only be thrown away by the next step.
    command.env("CARGO_TARGET_DIR", shell.target().join("oldest"));
    // What `cargo run` set for this toolchain's programs.
    for name in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN"] {
        command.env_remove(name);
    }
    shell.run(&mut command)
}
