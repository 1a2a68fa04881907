//! What happens inside the process: the in-process backend beside keyed mutexes, the memory of leases and of those who
//! wait, the time to compile annotated functions, and the size of their futures.
//!
//! [BENCHMARKS.md] says what each row is.
//!
//! [BENCHMARKS.md]: https://github.com/distributed-lock-rs/distributed-lock/blob/main/BENCHMARKS.md

mod compile;
mod flags;
mod future_size;
mod keyed;
mod memory;
mod one_key;
mod rows;
mod source;

use std::process::ExitCode;

fn main() -> ExitCode {
    match rows::run(&flags::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
