//! `cargo xtask …`: the only entry point for development tasks.

mod bench;
mod ci;
mod expand;
mod flags;
mod fuzz;
mod instructions;
mod mutants;
mod programs;
mod redis;
mod shell;
mod summary;
mod test;
mod ui;

use std::process::ExitCode;

use crate::flags::Task;
use crate::shell::Shell;

fn main() -> ExitCode {
    match run(flags::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // In one line and by hand: anyhow's own way adds a backtrace where RUST_BACKTRACE is set.
            eprintln!("\ncargo xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> anyhow::Result<()> {
    let shell = Shell::new()?;
    match task {
        Task::Test => test::run(&shell),
        Task::Ui { bless } => ui::run(&shell, bless),
        Task::Expand { file } => expand::run(&shell, &file),
        Task::Simulation { arguments } => programs::simulation(&shell, &arguments),
        Task::Chaos { arguments } => programs::chaos(&shell, &arguments),
        Task::Soak { arguments } => programs::soak(&shell, &arguments),
        Task::Scale { arguments } => programs::scale(&shell, &arguments),
        Task::Fuzz { minutes, target } => fuzz::run(&shell, minutes, target.as_deref()),
        Task::Bench { only, quick } => bench::run(&shell, only.as_deref(), quick),
        Task::Instructions { record } => instructions::run(&shell, record),
        Task::Mutants { arguments } => mutants::run(&shell, &arguments),
        Task::Ci => ci::run(&shell),
    }
}
