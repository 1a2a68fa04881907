//! Stored calls by the hundred thousand, worker processes that are killed, and a judge of what happened: `cargo xtask soak`.
//! And what a step of the queue costs with a million stored calls: `cargo xtask scale`.

mod flags;
mod functions;
mod judge;
mod log;
mod run;
mod scale;
mod table;
mod worker;
mod workers;

use std::process::ExitCode;

use flags::Task;

fn main() -> ExitCode {
    let passed = match flags::parse() {
        Task::Run(plan) => run::run(&plan),
        Task::Worker(work) => worker::run(&work).map(|()| true),
        Task::Scale(plan) => scale::run(&plan).map(|()| true),
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
