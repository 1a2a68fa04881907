//! The command line, as a type.

use std::time::Duration;

use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command, value_parser};

use crate::servers::{Fault, Topology};

/// What was asked for.
pub(crate) enum Task {
    /// Servers, clients, a nemesis, a table.
    Run(Plan),
    /// One of the client processes, which the program starts itself.
    Client(Work),
}

/// A whole run.
pub(crate) struct Plan {
    /// How long things are broken.
    pub(crate) length: Duration,
    pub(crate) topology: Topology,
    /// What the nemesis does, and in which order, follows from it; not what comes of it.
    pub(crate) seed: u64,
    /// How many client processes.
    pub(crate) clients: usize,
    /// How many tasks each of them has.
    pub(crate) tasks: u64,
    /// The counters take every write: shows what fences stop.
    pub(crate) without_fences: bool,
    /// Only these happen to servers; empty: all that the topology has.
    pub(crate) faults: Vec<Fault>,
}

/// What a client process needs to know.
pub(crate) struct Work {
    /// Where the locks are.
    pub(crate) url: String,
    /// Where the counters are.
    pub(crate) resource: String,
    pub(crate) seed: u64,
    pub(crate) tasks: u64,
    /// All of its writes carry the same fence.
    pub(crate) without_fences: bool,
}

/// Reads the command line; prints help or what is wrong, and ends the process, where there is no task.
pub(crate) fn parse() -> Task {
    task(&command().get_matches()).unwrap_or_else(|what| {
        command()
            .error(clap::error::ErrorKind::InvalidValue, format!("{what}, see --help"))
            .exit()
    })
}

fn task(matches: &ArgMatches) -> Result<Task, &'static str> {
    if let Some(("client", flags)) = matches.subcommand() {
        let work = || {
            Some(Work {
                url: flags.get_one::<String>("url")?.clone(),
                resource: flags.get_one::<String>("resource")?.clone(),
                seed: *flags.get_one("seed")?,
                tasks: *flags.get_one("tasks")?,
                without_fences: flags.get_flag("without-fences"),
            })
        };
        return work().map(Task::Client).ok_or("a client lacks something");
    }
    let seconds = match (matches.get_one::<f64>("minutes"), matches.get_one::<f64>("seconds")) {
        (Some(minutes), _) => minutes * 60.0,
        (None, Some(seconds)) => *seconds,
        (None, None) => return Err("say how long"),
    };
    let length = Duration::try_from_secs_f64(seconds).map_err(|_| "that is no length of time")?;
    if length < Duration::from_secs(1) {
        return Err("it takes a second at least");
    }
    Ok(Task::Run(Plan {
        length,
        topology: *matches.get_one("topology").ok_or("name a topology")?,
        seed: matches.get_one("seed").copied().unwrap_or_else(|| fastrand::u64(..)),
        clients: usize::from(matches.get_one("clients").copied().unwrap_or(4_u8)),
        tasks: matches.get_one("tasks").copied().unwrap_or(8),
        without_fences: matches.get_flag("without-fences"),
        faults: matches.get_many("faults").into_iter().flatten().copied().collect(),
    }))
}

fn command() -> Command {
    let value = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let without_fences = || {
        let flag = Arg::new("without-fences").long("without-fences");
        flag.action(ArgAction::SetTrue)
            .help("The counters check no fence; then updates may be lost, and this shows how many fences save")
    };
    let number = |name: &'static str| value(name, "N", "").required(true).value_parser(value_parser!(u64));
    Command::new("lock-chaos")
        .bin_name("cargo xtask chaos")
        .about("Break real servers under real processes; print what it cost, and fail if anything was lost for good")
        .args_conflicts_with_subcommands(true)
        .arg(value("minutes", "N", "How long things are broken, in minutes").value_parser(value_parser!(f64)))
        .arg(value("seconds", "N", "The same in seconds").value_parser(value_parser!(f64)))
        .group(ArgGroup::new("length").args(["minutes", "seconds"]))
        .arg(
            value("topology", "TOPOLOGY", "single, sentinel, cluster or redlock")
                .value_parser(|name: &str| Topology::named(name).ok_or("single, sentinel, cluster or redlock")),
        )
        .arg(
            value(
                "seed",
                "S",
                "The same faults in the same order as a run that printed this seed",
            )
            .value_parser(value_parser!(u64)),
        )
        .arg(
            value("clients", "N", "How many client processes; 4 unless set").value_parser(value_parser!(u8).range(1..)),
        )
        .arg(
            value("tasks", "N", "How many tasks each client has; 8 unless set")
                .value_parser(value_parser!(u64).range(1..)),
        )
        .arg(
            value(
                "faults",
                "NAMES",
                "Only these happen to servers, as the table names them: kill,restart,…",
            )
            .value_delimiter(',')
            .value_parser(|name: &str| Fault::named(name).ok_or("no such fault")),
        )
        .arg(without_fences())
        .subcommand(
            Command::new("client")
                .hide(true)
                .arg(value("url", "URL", "").required(true))
                .arg(value("resource", "URL", "").required(true))
                .arg(number("seed"))
                .arg(number("tasks"))
                .arg(without_fences()),
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
