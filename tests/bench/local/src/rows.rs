//! The rows, in the order of the table.

use anyhow::{Context, Result};
use bench_report::Progress;

use crate::flags::Options;
use crate::{compile, future_size, keyed, memory, one_key};

/// Measures all rows that are asked for.
pub(crate) fn run(options: &Options) -> Result<()> {
    let progress = Progress::new();
    memory::run(options, &progress)?;
    keyed::run(options, &progress)?;
    one_key::run(options, &progress)?;
    compile::run(options, &progress)?;
    future_size::run(options, &progress)
}

/// A program that was built beside this one.
pub(crate) fn sibling(name: &str) -> Result<std::path::PathBuf> {
    let here = std::env::current_exe().context("where this program is")?;
    Ok(here.with_file_name(name))
}
