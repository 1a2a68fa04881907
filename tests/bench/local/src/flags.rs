//! The command line: the same as of the other programs of the bench.

use std::path::PathBuf;

use clap::{Arg, ArgAction, Command, value_parser};

/// How to run.
pub(crate) struct Options {
    /// Where results go.
    pub(crate) folder: PathBuf,
    /// Only rows whose name begins so.
    pub(crate) only: Option<String>,
    /// Fewer rounds, smaller numbers.
    pub(crate) quick: bool,
}

impl Options {
    /// Whether a row is asked for.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.as_deref().is_none_or(|only| name.starts_with(only))
    }
}

pub(crate) fn parse() -> Options {
    let matches = command().get_matches();
    let run = matches.subcommand_matches("run").unwrap_or(&matches);
    Options {
        folder: run.get_one::<PathBuf>("folder").cloned().unwrap_or_default(),
        only: run.get_one::<String>("only").cloned(),
        quick: run.get_flag("quick"),
    }
}

fn command() -> Command {
    let run = Command::new("run")
        .about("Measure")
        .arg(
            Arg::new("folder")
                .long("folder")
                .value_parser(value_parser!(PathBuf))
                .default_value("target/bench")
                .help("Where results go"),
        )
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
        );
    Command::new("local-bench")
        .about("Benchmarks of what happens inside the process")
        .subcommand_required(true)
        .subcommand(run)
}

#[cfg(test)]
mod tests {
    //! The command line itself.

    #[test]
    fn the_command_line_has_no_contradiction() {
        super::command().debug_assert();
    }
}
