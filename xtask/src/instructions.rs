//! `cargo xtask instructions`: how many instructions a call and an expansion take, so that none becomes slower unnoticed.
//!
//! Counted by callgrind and not timed, in the program's own code only: neither the machine's load nor its C library makes
//! a difference. Another compiler does, and so the limits say which one they were recorded with.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::shell::{Shell, find_program};

const MANIFEST: &str = "tests/instructions/Cargo.toml";
const LIMITS: &str = "tests/instructions/limits.txt";
/// What is counted: the program, its kind, and how often in the shorter of two runs.
const COUNTED: [(&str, &str, u64); 5] = [
    ("call", "alone", 2_000),
    ("call", "guard", 2_000),
    ("call", "passed-on", 2_000),
    ("expansion", "plain", 20),
    ("expansion", "full", 20),
];
/// This much more than recorded is too much.
const TOLERANCE: f64 = 1.05;

/// The programs' format, and the counts.
///
/// # Errors
/// As [`run`], and when `cargo fmt` would change something.
pub(crate) fn check(shell: &Shell) -> Result<()> {
    let mut format = shell.cargo([
        "fmt",
        "--check",
        "--manifest-path",
        MANIFEST,
        "--",
        "--config-path",
        ".",
    ]);
    shell.run(&mut format)?;
    run(shell, false)
}

/// Counts, and compares with what was recorded; or records.
///
/// # Errors
/// When something cannot be built or counted, or takes more instructions than before.
pub(crate) fn run(shell: &Shell, record: bool) -> Result<()> {
    if find_program("valgrind").is_none() {
        println!("skipped: valgrind is not installed");
        return Ok(());
    }
    let compiler = compiler(shell)?;
    let recorded = std::fs::read_to_string(shell.root().join(LIMITS)).unwrap_or_default();
    if !record && !recorded.lines().any(|line| line == compiler) {
        println!("skipped: {LIMITS} was not recorded with {compiler}");
        return Ok(());
    }
    let built = shell.target().join("instructions");
    let mut build = shell.cargo(["build", "--release", "--locked", "--manifest-path", MANIFEST]);
    shell.run(build.env("CARGO_TARGET_DIR", &built))?;
    let mut counts = Vec::new();
    for (program, kind, count) in COUNTED {
        let path = built.join("release").join(program);
        let once = collected(shell, &path, kind, count)?;
        let twice = collected(shell, &path, kind, 2 * count)?;
        // The start of the program is in both.
        counts.push((format!("{program} {kind}"), twice.saturating_sub(once) / count));
    }
    if record {
        return store(&shell.root().join(LIMITS), &compiler, &counts);
    }
    compare(&recorded, &counts)
}

fn compiler(shell: &Shell) -> Result<String> {
    let version = shell.read(shell.command("rustc").arg("--version"))?;
    Ok(format!("{} on {}", version.trim(), std::env::consts::ARCH))
}

fn collected(shell: &Shell, program: &Path, kind: &str, count: u64) -> Result<u64> {
    let out: PathBuf = program.with_extension("callgrind");
    let mut out_file = std::ffi::OsString::from("--callgrind-out-file=");
    out_file.push(&out);
    let mut command = shell.command("valgrind");
    command
        .args([
            "--quiet",
            "--tool=callgrind",
            "--compress-strings=no",
            "--compress-pos=no",
        ])
        .arg(out_file)
        .arg(program)
        .args([kind, &count.to_string()]);
    shell.run(&mut command)?;
    let profile = std::fs::read_to_string(&out).with_context(|| format!("cannot read {}", out.display()))?;
    Ok(own_instructions(&profile, &program.display().to_string()))
}

/// The instructions in the code of `object` itself, in callgrind's profile: the last number of each line of costs, but
/// for those that follow a `calls=` and are a callee's.
fn own_instructions(profile: &str, object: &str) -> u64 {
    let (mut is_own, mut is_callee, mut sum) = (false, false, 0);
    for line in profile.lines() {
        if let Some(name) = line.strip_prefix("ob=") {
            is_own = name == object;
        } else if line.starts_with("calls=") {
            is_callee = true;
        } else if line.starts_with(|first: char| first.is_ascii_digit()) && !std::mem::take(&mut is_callee) && is_own {
            let cost = line.rsplit(' ').next().and_then(|cost| cost.parse::<u64>().ok());
            sum += cost.unwrap_or_default();
        }
    }
    sum
}

fn store(path: &Path, compiler: &str, counts: &[(String, u64)]) -> Result<()> {
    let mut text = String::from(
        "# Instructions in the program's own code, for each call or expansion; `cargo xtask instructions --record` writes\n\
         # this file. Recorded with:\n",
    );
    // Writing into a String cannot fail.
    let _ = writeln!(text, "{compiler}");
    for (name, count) in counts {
        println!("{name:<20} {count:>9}");
        let _ = writeln!(text, "{name}: {count}");
    }
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn compare(recorded: &str, counts: &[(String, u64)]) -> Result<()> {
    let mut grown = Vec::new();
    for (name, count) in counts {
        let limit = recorded
            .lines()
            .find_map(|line| {
                line.strip_prefix(name.as_str())?
                    .strip_prefix(": ")?
                    .parse::<u64>()
                    .ok()
            })
            .with_context(|| format!("{LIMITS} has no line for `{name}`"))?;
        let ratio = *count as f64 / limit as f64;
        println!("{name:<20} {count:>9}, {limit:>9} recorded, {ratio:.3}");
        if ratio > TOLERANCE {
            grown.push(format!("{name} by {:.0} %", (ratio - 1.0) * 100.0));
        }
    }
    ensure!(
        grown.is_empty(),
        "more instructions than recorded: {}; `cargo xtask instructions --record` accepts them",
        grown.join(", ")
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    //! What is read, and what is refused.

    use super::{compare, own_instructions};

    #[test]
    fn only_the_program_s_own_code_counts() {
        let profile = "version: 1\nob=/bin/call\nfl=a.rs\nfn=main\n3 10\n4 5\ncob=/lib/libc.so\ncfn=malloc\ncalls=1 0\n5 \
                       1000\n6 7\nob=/lib/libc.so\nfn=malloc\n0 1000\n";
        assert_eq!(own_instructions(profile, "/bin/call"), 22);
        assert_eq!(own_instructions(profile, "/lib/libc.so"), 1_000);
    }

    #[test]
    fn a_twentieth_more_is_accepted_and_not_more() {
        let recorded = "rustc 1\ncall alone: 1000\n";
        let counted = |count| [("call alone".to_owned(), count)];
        assert!(compare(recorded, &counted(1_050)).is_ok());
        assert!(compare(recorded, &counted(1_051)).is_err());
        assert!(compare(recorded, &[("call".to_owned(), 1)]).is_err());
    }
}
