//! Rows `compile-*`: how long a crate of many annotated functions takes to compile, beside the same functions under
//! `#[tracing::instrument]`, and plain.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use bench_report::{Check, Progress, Row, save};

use crate::flags::Options;
use crate::source::{STYLES, library, manifest};

const FUNCTIONS: usize = 500;

/// Measures both rows.
pub(crate) fn run(options: &Options, progress: &Progress) -> Result<()> {
    let tasks = [("check", "cargo check"), ("build", "debug build")];
    let tasks: Vec<_> = tasks
        .into_iter()
        .filter(|(task, _)| options.wants(&format!("compile-{task}")))
        .collect();
    if tasks.is_empty() {
        return Ok(());
    }
    let folder = options.folder.join("compile");
    for (name, style) in STYLES {
        write(&folder.join(name), name, &library(style, FUNCTIONS))?;
    }
    for (task, what) in tasks {
        let row = Row::new(
            13,
            &format!("compile-{task}"),
            &format!("{what} of {FUNCTIONS} annotated functions"),
        )
        .target("at most 0.7 of instrument, 2.0 of plain")
        .peer("1; instrument is 2.9 times plain")
        .figures(&[("s", "s")])
        .base("plain")
        .note("One crate without its dependencies, CARGO_INCREMENTAL=0.")
        .check(Check::ratio("against instrument", "locked", "instrument", "s").at_most(0.7))
        .check(Check::ratio("against plain", "locked", "plain", "s").at_most(2.0));
        measure(options, progress, row, &folder, task)?;
    }
    Ok(())
}

fn measure(options: &Options, progress: &Progress, mut row: Row, folder: &Path, task: &str) -> Result<()> {
    let rounds = if options.quick { 1 } else { 5 };
    for (name, _) in STYLES {
        cargo(folder, name, task)?;
    }
    for round in 1..=rounds {
        for (name, style) in STYLES {
            // A new time of change: the crate is compiled anew, and nothing else is.
            fs::write(folder.join(name).join("src/lib.rs"), library(style, FUNCTIONS))?;
            let began = Instant::now();
            cargo(folder, name, task)?;
            let seconds = began.elapsed().as_secs_f64();
            row.variant(name).round(&[("s", seconds)]);
            progress.step(&row.name, (round, rounds), name, &format!("{seconds:.2} s"));
        }
    }
    save(&options.folder, &row)
}

/// All three in one target folder, so that what they need is compiled once.
fn cargo(folder: &Path, name: &str, task: &str) -> Result<()> {
    let output = Command::new("cargo")
        .args([task, "--quiet", "--manifest-path"])
        .arg(folder.join(name).join("Cargo.toml"))
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .env("CARGO_INCREMENTAL", "0")
        .output()
        .context("cargo")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn write(folder: &Path, name: &str, library: &str) -> Result<()> {
    let bench = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let repository = bench.ancestors().nth(3).context("the repository")?;
    let runtime = repository.join("lock-runtime");
    fs::create_dir_all(folder.join("src")).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::write(folder.join("src/lib.rs"), library)?;
    fs::write(
        folder.join("Cargo.toml"),
        manifest(name, &runtime.display().to_string()),
    )?;
    // The same versions as everywhere else in the bench.
    let lock = bench.ancestors().nth(1).context("the bench")?.join("Cargo.lock");
    fs::copy(&lock, folder.join("Cargo.lock")).with_context(|| format!("no {}", lock.display()))?;
    Ok(())
}
