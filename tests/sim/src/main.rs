//! Runs seeds: `lock-sim --seeds N [--start S] [--servers 1|5]`, or prints one: `lock-sim --seed S --servers 1 --trace`.

use std::process::ExitCode;

use clap::{Arg, ArgAction, Command, value_parser};
use lock_sim::batch::{Batch, Servers};
use lock_sim::run;

fn main() -> ExitCode {
    let number = |name: &'static str, help: &'static str| {
        let parser = value_parser!(u64);
        Arg::new(name)
            .long(name)
            .value_name("N")
            .value_parser(parser)
            .help(help)
    };
    let options = Command::new("lock-sim")
        .about("Runs the lock library in a simulated world, a seed at a time; the first violation ends it")
        .arg(number("seeds", "how many seeds").default_value("100"))
        .arg(number("start", "the first of them").default_value("0"))
        .arg(number(
            "servers",
            "so many servers; unless set, one for even seeds and five for odd ones",
        ))
        .arg(number(
            "threads",
            "so many runs at once; unless set, one for each processor",
        ))
        .arg(number("seed", "this seed only"))
        .arg(
            Arg::new("trace")
                .long("trace")
                .action(ArgAction::SetTrue)
                .help("print all that happens in it"),
        )
        .get_matches();
    let number = |name: &str| options.get_one::<u64>(name).copied();
    let count = |name: &str| number(name).and_then(|count| usize::try_from(count).ok());
    let servers = count("servers").map_or(Servers::Both, Servers::Always);
    let good = if let Some(seed) = number("seed") {
        one(seed, servers.of(seed), options.get_flag("trace"))
    } else {
        let start = number("start").unwrap_or_default();
        many(&Batch {
            seeds: start..start.saturating_add(number("seeds").unwrap_or_default()),
            servers,
            threads: count("threads")
                .or_else(|| std::thread::available_parallelism().ok().map(usize::from))
                .unwrap_or(1),
        })
    };
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn one(seed: u64, servers: usize, trace: bool) -> bool {
    let outcome = run(seed, servers, trace);
    println!(
        "seed {seed}, {servers} servers: {} events in {:?}, hash {:016x}\n{}",
        outcome.events, outcome.simulated, outcome.hash, outcome.tally
    );
    for violation in &outcome.violations {
        println!("VIOLATION {violation}");
    }
    outcome.violations.is_empty()
}

fn many(batch: &Batch) -> bool {
    let summary = batch.run(|progress| println!("{progress}"));
    println!("{summary}");
    summary.wrong.is_empty()
}
