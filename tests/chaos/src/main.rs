//! Breaks real servers under real processes, and counts what it cost: `cargo xtask chaos`.
//!
//! Several client processes, each with several tasks, update counters under locks of the real runtime, while a
//! nemesis kills, pauses, empties, fills and cuts off the servers, and kills and pauses the clients. The counters are
//! kept on a server that nobody disturbs, which checks fences. At the end there is a table; an update that was lost in
//! spite of the fences, or a lock that is left over, makes the program fail.

mod client;
mod clients;
mod clock;
mod flags;
mod holds;
mod nemesis;
mod protocol;
mod record;
mod resource;
mod run;
mod servers;
mod table;

use std::process::ExitCode;

use flags::Task;

fn main() -> ExitCode {
    let passed = match flags::parse() {
        Task::Run(plan) => run::run(&plan),
        Task::Client(work) => client::run(&work).map(|()| true),
    };
    match passed {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
