//! The command line, as types.

use std::time::Duration;

use clap::{Arg, ArgMatches, Command, value_parser};

/// What was asked for.
pub(crate) enum Task {
    Run(Plan),
    /// For the program itself: one worker process.
    Worker(Work),
    Scale(Scale),
}

/// One soak.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) calls: u32,
    pub(crate) keys: u32,
    pub(crate) workers: u32,
    /// The mean time between two kills of a worker.
    pub(crate) kill_every: Duration,
}

/// What a worker process is to do.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    pub(crate) locks: String,
    pub(crate) log: String,
    /// Its number: no two lives of a worker have the same.
    pub(crate) life: u32,
}

/// One comparison of a short and a long queue.
#[derive(Debug, Clone)]
pub(crate) struct Scale {
    pub(crate) few: u32,
    pub(crate) many: u32,
    pub(crate) rounds: u32,
}

pub(crate) fn parse() -> Task {
    task(&command().get_matches()).unwrap_or_else(|| {
        // clap has answered every other command line already.
        command()
            .error(clap::error::ErrorKind::MissingSubcommand, "name a task, see --help")
            .exit()
    })
}

fn task(matches: &ArgMatches) -> Option<Task> {
    let number = |flags: &ArgMatches, name: &str| flags.get_one::<u32>(name).copied();
    match matches.subcommand()? {
        ("run", flags) => Some(Task::Run(Plan {
            calls: number(flags, "calls")?,
            keys: number(flags, "keys")?,
            workers: number(flags, "workers")?,
            kill_every: Duration::from_millis(number(flags, "kill-every-ms")?.into()),
        })),
        ("worker", flags) => Some(Task::Worker(Work {
            locks: flags.get_one::<String>("locks")?.clone(),
            log: flags.get_one::<String>("log")?.clone(),
            life: number(flags, "life")?,
        })),
        ("scale", flags) => Some(Task::Scale(Scale {
            few: number(flags, "few")?,
            many: number(flags, "many")?,
            rounds: number(flags, "rounds")?,
        })),
        _ => None,
    }
}

fn command() -> Command {
    let number = |name: &'static str, default: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_parser(value_parser!(u32).range(1..))
            .default_value(default)
            .help(help)
    };
    let text = |name: &'static str| Arg::new(name).long(name).required(true);
    Command::new("lock-soak")
        .about("Stored calls under load")
        .subcommand_required(true)
        .subcommand(
            Command::new("run")
                .about("Store calls, let workers run them and kill workers, and judge what happened")
                .arg(number("calls", "100000", "How many calls are stored"))
                .arg(number("keys", "1000", "For how many locks"))
                .arg(number("workers", "4", "How many worker processes there are"))
                .arg(number("kill-every-ms", "700", "The mean time between two kills")),
        )
        .subcommand(
            Command::new("scale")
                .about("Compare what each step costs beside few and beside many stored calls")
                .arg(number("few", "1000", "The short queue"))
                .arg(number("many", "1000000", "The long queue"))
                .arg(number(
                    "rounds",
                    "2000",
                    "How often each step is timed, in turn on both",
                )),
        )
        .subcommand(
            Command::new("worker")
                .hide(true)
                .args([text("locks"), text("log")])
                .arg(text("life").value_parser(value_parser!(u32))),
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
