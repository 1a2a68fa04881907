//! Locks on Redis, side by side: this library, the raw client, and other libraries.
//!
//! The driver (`run`) starts servers and one process of its own program (`work`) for each variant in each round, one
//! after the other; `table` prints what all programs of the bench found. [BENCHMARKS.md] says what each row is.
//!
//! [BENCHMARKS.md]: https://github.com/distributed-lock-rs/distributed-lock/blob/main/BENCHMARKS.md

mod bench;
mod clients;
mod clock;
mod flags;
mod job;
mod monitor;
mod peers;
mod rows;
mod server;
mod tables;
mod work;
mod worker;

use std::process::ExitCode;

use crate::flags::Asked;

fn main() -> ExitCode {
    let result = match flags::parse() {
        Asked::Run(options) => rows::run(&options),
        Asked::Work => work::main(),
        Asked::Table { folder } => tables::print(&folder),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
