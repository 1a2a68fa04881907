//! The command line.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

/// What was asked for.
pub(crate) enum Asked {
    Run(Options),
    /// One process of the bench.
    Work,
    /// All rows that are in a folder.
    Table {
        folder: PathBuf,
    },
}

/// How to run.
pub(crate) struct Options {
    /// Where results go.
    pub(crate) folder: PathBuf,
    /// Only rows whose name begins so.
    pub(crate) only: Option<String>,
    /// Fewer rounds, smaller numbers.
    pub(crate) quick: bool,
}

pub(crate) fn parse() -> Asked {
    let matches = command().get_matches();
    match matches.subcommand() {
        Some(("run", flags)) => Asked::Run(Options {
            folder: folder(flags),
            only: flags.get_one::<String>("only").cloned(),
            quick: flags.get_flag("quick"),
        }),
        Some(("table", flags)) => Asked::Table { folder: folder(flags) },
        _ => Asked::Work,
    }
}

fn folder(flags: &ArgMatches) -> PathBuf {
    flags.get_one::<PathBuf>("folder").cloned().unwrap_or_default()
}

fn command() -> Command {
    let folder = Arg::new("folder")
        .long("folder")
        .value_parser(value_parser!(PathBuf))
        .default_value("target/bench")
        .help("Where results are");
    Command::new("lock-bench")
        .about("Benchmarks of locks on Redis")
        .subcommand_required(true)
        .subcommand(
            Command::new("run")
                .about("Measure")
                .arg(folder.clone())
                .arg(
                    Arg::new("only")
                        .long("only")
                        .help("Only the rows whose name begins like this"),
                )
                .arg(
                    Arg::new("quick")
                        .long("quick")
                        .action(ArgAction::SetTrue)
                        .help("Fewer rounds and smaller numbers"),
                ),
        )
        .subcommand(Command::new("table").about("Print what was measured").arg(folder))
        .subcommand(Command::new("work").about("One process of a row").hide(true))
}

#[cfg(test)]
mod tests {
    //! The command line itself.

    #[test]
    fn the_command_line_has_no_contradiction() {
        super::command().debug_assert();
    }
}
