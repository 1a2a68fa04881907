//! The rows, in the order of the table.

mod uncontended;

use anyhow::Result;

use crate::bench::Bench;
use crate::flags::Options;

pub(crate) fn run(options: &Options) -> Result<()> {
    let bench = Bench::new(options);
    uncontended::run(&bench)?;
    Ok(())
}
