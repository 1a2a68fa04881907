//! `cargo xtask fuzz`: every fuzz target for a while, and what each has seen.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};

use crate::shell::Shell;

/// The programs of `tests/fuzz`.
pub(crate) const TARGETS: [&str; 5] = ["attribute", "template", "keys", "urls", "answers"];

/// Runs one target or all of them, one after the other, so many minutes each.
///
/// # Errors
/// When cargo-fuzz is not installed, something cannot be built, or a target finds something.
pub(crate) fn run(shell: &Shell, minutes: u64, target: Option<&str>) -> Result<()> {
    let installed = shell.succeeds(&mut shell.cargo(["fuzz", "--version"]));
    ensure!(
        installed,
        "there is no `cargo fuzz`: install it by `cargo install cargo-fuzz --locked`"
    );
    let mut report = Vec::new();
    for name in TARGETS
        .into_iter()
        .filter(|name| target.is_none_or(|target| target == *name))
    {
        report.push((name, fuzz(shell, name, minutes)?));
    }

    println!();
    for (name, (figures, took, ended)) in &report {
        let found = if ended.is_ok() {
            "nothing found"
        } else {
            "FOUND something"
        };
        println!("{name:<10} {figures}, {:>5} s, {found}", took.as_secs());
    }
    let findings: Vec<_> = report
        .iter()
        .filter(|(_, (.., ended))| ended.is_err())
        .map(|(name, _)| *name)
        .collect();
    ensure!(
        findings.is_empty(),
        "the inputs are in tests/fuzz/artifacts: {}",
        findings.join(", ")
    );
    Ok(())
}

fn fuzz(shell: &Shell, name: &str, minutes: u64) -> Result<(Figures, Duration, Result<()>)> {
    let corpus = shell.root().join("tests/fuzz/corpus").join(name);
    std::fs::create_dir_all(&corpus).with_context(|| format!("cannot make {}", corpus.display()))?;
    // So that what was found and what could not be built are told apart.
    shell.run(cargo_fuzz(shell, "build").arg(name))?;
    let mut command = cargo_fuzz(shell, "run");
    command
        .args([
            name,
            &format!("tests/fuzz/corpus/{name}"),
            &format!("tests/fuzz/seeds/{name}"),
        ])
        .arg("--")
        .args(["-print_final_stats=1", "-timeout=20"])
        .arg(format!("-dict=tests/fuzz/dictionaries/{name}.dict"))
        .arg(format!("-max_total_time={}", minutes.saturating_mul(60)));
    let (lines, errors) = std::io::pipe().context("a pipe for what libFuzzer prints")?;
    command.stderr(errors);
    let reader = thread::spawn(move || {
        let mut figures = Figures::default();
        for line in BufReader::new(lines).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            eprintln!("{line}");
            figures.look(&line);
        }
        figures
    });
    let start = Instant::now();
    let ended = shell.run(&mut command);
    // It has the end of the pipe that the reader waits for.
    drop(command);
    let figures = reader
        .join()
        .map_err(|_| anyhow!("what libFuzzer printed could not be read"))?;
    Ok((figures, start.elapsed(), ended))
}

/// Without a sanitizer there is no need of a nightly toolchain: the coverage counters are an LLVM pass that the stable
/// compiler has too (`-Cpasses=sancov-module`), and this code has no `unsafe` that AddressSanitizer could look into.
/// `RUSTC_BOOTSTRAP` is for the other flags that cargo-fuzz may add.
fn cargo_fuzz(shell: &Shell, subcommand: &str) -> Command {
    let mut command = shell.cargo(["fuzz", subcommand]);
    command
        .env("RUSTC_BOOTSTRAP", "1")
        .args(["--fuzz-dir", "tests/fuzz", "--sanitizer", "none", "--target-dir"])
        .arg(shell.target().join("fuzz"));
    command
}

/// What libFuzzer says of its run.
#[derive(Debug, Default, PartialEq)]
struct Figures {
    runs: u64,
    /// Edges of the program that some input took.
    coverage: u64,
}

impl Figures {
    fn look(&mut self, line: &str) {
        if let Some(runs) = line.strip_prefix("stat::number_of_executed_units:") {
            self.runs = runs.trim().parse().unwrap_or(self.runs);
        } else if let Some((_, rest)) = line.split_once(" cov: ") {
            let number = rest.split(' ').next().unwrap_or_default();
            self.coverage = number.parse().unwrap_or(self.coverage);
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures { runs, coverage } = self;
        write!(f, "{runs:>10} runs, coverage {coverage:>6}")
    }
}

#[cfg(test)]
mod tests {
    //! Lines as libFuzzer prints them, and the programs as they are declared.

    use super::{Figures, TARGETS};

    #[test]
    fn runs_and_coverage_are_read() {
        let mut figures = Figures::default();
        for line in [
            "INFO: Loaded 1 modules   (1 inline 8-bit counters): 1 [0x1, 0x2),",
            "#2\tINITED cov: 12 ft: 13 corp: 1/1b exec/s: 0 rss: 29Mb",
            "#338308\tDONE   cov: 354 ft: 2100 corp: 400/11Kb lim: 300 exec/s: 16109 rss: 28Mb",
            "stat::number_of_executed_units: 338308",
        ] {
            figures.look(line);
        }
        let expected = Figures {
            runs: 338_308,
            coverage: 354,
        };
        assert_eq!(figures, expected);
    }

    #[test]
    fn every_target_is_declared_and_has_seeds() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz");
        let manifest = std::fs::read_to_string(root.join("Cargo.toml")).unwrap_or_default();
        assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
        for name in TARGETS {
            assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
            assert!(root.join("seeds").join(name).is_dir(), "{name}");
            assert!(root.join(format!("dictionaries/{name}.dict")).is_file(), "{name}");
        }
    }
}
