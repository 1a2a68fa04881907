//! The command line, as a type.
//!
//! clap's builder and not its derive: xtask is the first thing that a fresh clone compiles, and the
//! derive would bring syn with it for four subcommands and one flag.

use std::ffi::OsString;

use clap::{Arg, ArgAction, ArgMatches, Command};

/// What was asked for.
pub(crate) enum Task {
    /// Every test of the workspace.
    Test,
    /// The compile-time tests and the snapshots of expansions.
    Ui {
        /// The new output is written over the expected one.
        bless: bool,
    },
    /// The expansion of the annotated functions of one file.
    Expand {
        /// A path, or the name of a fixture in `tests/tests/ui`.
        file: String,
    },
    /// The deterministic simulation.
    Simulation {
        /// The program's own: `--seeds N`, `--seed S --trace`, …
        arguments: Vec<OsString>,
    },
    /// Real servers and processes, and what happens to them.
    Chaos {
        /// The program's own: `--minutes N --topology T`, …
        arguments: Vec<OsString>,
    },
    /// Stored calls by the hundred thousand, and workers that are killed.
    Soak {
        /// The program's own: `--calls N --keys K --workers W`, …
        arguments: Vec<OsString>,
    },
    /// What a step of the queue costs beside few and beside many stored calls.
    Scale {
        /// The program's own: `--many N`, …
        arguments: Vec<OsString>,
    },
    /// The fuzz targets.
    Fuzz {
        /// For each of them.
        minutes: u64,
        /// `None`: all of them.
        target: Option<String>,
    },
    /// What a lock costs, beside other libraries.
    Bench {
        /// Only the rows whose name begins like this.
        only: Option<String>,
        /// Fewer rounds, smaller numbers.
        quick: bool,
    },
    /// How many instructions a call and an expansion take.
    Instructions {
        /// The counts are written over the recorded ones.
        record: bool,
    },
    /// Changes in the code that the tests must notice.
    Mutants {
        /// For cargo-mutants.
        arguments: Vec<OsString>,
    },
    /// Everything that must hold before a change is merged.
    Ci,
}

/// Reads the command line; prints help or what is wrong, and ends the process, where there is no task.
pub(crate) fn parse() -> Task {
    task(&command().get_matches()).unwrap_or_else(|| {
        // clap has answered every other command line already.
        command()
            .error(clap::error::ErrorKind::MissingSubcommand, "name a task, see --help")
            .exit()
    })
}

fn task(matches: &ArgMatches) -> Option<Task> {
    match matches.subcommand()? {
        ("test", _) => Some(Task::Test),
        ("ui", flags) => Some(Task::Ui {
            bless: flags.get_flag("bless"),
        }),
        ("expand", flags) => Some(Task::Expand {
            file: flags.get_one::<String>("file")?.clone(),
        }),
        ("sim", flags) => Some(Task::Simulation { arguments: rest(flags) }),
        ("chaos", flags) => Some(Task::Chaos { arguments: rest(flags) }),
        ("soak", flags) => Some(Task::Soak { arguments: rest(flags) }),
        ("scale", flags) => Some(Task::Scale { arguments: rest(flags) }),
        ("fuzz", flags) => Some(Task::Fuzz {
            minutes: *flags.get_one("minutes")?,
            target: flags.get_one::<String>("target").cloned(),
        }),
        ("bench", flags) => Some(Task::Bench {
            only: flags.get_one::<String>("only").cloned(),
            quick: flags.get_flag("quick"),
        }),
        ("instructions", flags) => Some(Task::Instructions {
            record: flags.get_flag("record"),
        }),
        ("mutants", flags) => Some(Task::Mutants { arguments: rest(flags) }),
        ("ci", _) => Some(Task::Ci),
        _ => None,
    }
}

fn rest(flags: &ArgMatches) -> Vec<OsString> {
    flags.get_many("arguments").into_iter().flatten().cloned().collect()
}

/// Arguments that a program reads for itself.
fn passed_on(help: &'static str) -> Arg {
    Arg::new("arguments")
        .num_args(0..)
        .trailing_var_arg(true)
        .allow_hyphen_values(true)
        .value_parser(clap::value_parser!(OsString))
        .help(help)
}

fn command() -> Command {
    Command::new("cargo xtask")
        .bin_name("cargo xtask")
        .about("Development tasks of this workspace")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("test")
                .about("Run every test of the workspace, doctests included")
                .long_about(
                    "Run every test of the workspace, doctests included, once, without retries.\n\n\
             The tests start Redis servers of their own on 127.0.0.1 and end them. Where no `redis-server` \
             is on the PATH, Debian's package is installed (as root, or by sudo without a password); \
             its service is not started.",
                ),
        )
        .subcommand(
            Command::new("ui")
                .about("Run the compile-time tests and the snapshots of expansions")
                .arg(
                    Arg::new("bless")
                        .long("bless")
                        .action(ArgAction::SetTrue)
                        .help("Accept the new output: write it over the expected one"),
                ),
        )
        .subcommand(
            Command::new("expand")
                .about("Print what the annotated functions of a file expand to")
                .arg(
                    Arg::new("file")
                        .required(true)
                        .help("A Rust file, or the name of a fixture in tests/tests/ui without .rs"),
                ),
        )
        .subcommand(
            Command::new("sim")
                .about("Run the deterministic simulation: --seeds N, or --seed S --trace for one run")
                .disable_help_flag(true)
                .arg(passed_on("As `cargo xtask sim --help` says")),
        )
        .subcommand(
            Command::new("chaos")
                .about(
                    "Break real servers under real processes: --minutes N --topology single|sentinel|cluster|redlock",
                )
                .disable_help_flag(true)
                .arg(passed_on("As `cargo xtask chaos --help` says")),
        )
        .subcommand(
            Command::new("soak")
                .about("Store calls, run them in worker processes that are killed, and judge it: --calls N --keys K --workers W")
                .disable_help_flag(true)
                .arg(passed_on("As `cargo xtask soak --help` says")),
        )
        .subcommand(
            Command::new("scale")
                .about("Compare what each step of the queue costs beside few and beside many stored calls: --few N --many N")
                .disable_help_flag(true)
                .arg(passed_on("As `cargo xtask scale --help` says")),
        )
        .subcommand(
            Command::new("fuzz")
                .about("Run the fuzz targets, with cargo-fuzz")
                .arg(
                    Arg::new("minutes")
                        .long("minutes")
                        .value_parser(clap::value_parser!(u64).range(1..))
                        .default_value("1")
                        .help("How long each of them runs"),
                )
                .arg(
                    Arg::new("target")
                        .long("target")
                        .value_parser(crate::fuzz::TARGETS)
                        .help("This one only"),
                ),
        )
        .subcommand(
            Command::new("bench")
                .about("Measure what a lock costs, beside the raw client and other libraries")
                .long_about(
                    "Measure what a lock costs, beside the raw client and other libraries, on servers that it starts.\n\n\
             Results (tables, JSON, drawings) are in target/bench; BENCHMARKS.md says what each row is. Peers in Python \
             and JavaScript are part of it where pip and npm can install them into that folder.",
                )
                .arg(
                    Arg::new("only")
                        .long("only")
                        .value_name("row")
                        .help("Only the rows whose name begins like this"),
                )
                .arg(
                    Arg::new("quick")
                        .long("quick")
                        .action(ArgAction::SetTrue)
                        .help("Fewer rounds and smaller numbers: a look, not a measurement"),
                ),
        )
        .subcommand(
            Command::new("instructions")
                .about("Count the instructions of a call and of an expansion, with valgrind, and compare with the recorded")
                .arg(
                    Arg::new("record")
                        .long("record")
                        .action(ArgAction::SetTrue)
                        .help("Accept the counts"),
                ),
        )
        .subcommand(
            Command::new("mutants")
                .about("Change the code in many ways, one at a time, which the tests must notice; with cargo-mutants")
                .arg(passed_on("For cargo-mutants: --list, --re hold.rs, --shard 1/8, …")),
        )
        .subcommand(
            Command::new("ci")
                .about("Run everything that must hold before a change is merged")
                .long_about(
                    "Run everything that must hold before a change is merged: formatting, clippy, documentation, \
             all tests and examples, both packages as crates.io would build them, and the oldest supported \
             toolchain where it is installed. Every step runs, whatever the ones before said.",
                ),
        )
}

#[cfg(test)]
mod tests {
    //! The command line itself.

    use super::command;

    #[test]
    fn the_command_line_has_no_contradiction() {
        command().debug_assert();
    }
}
