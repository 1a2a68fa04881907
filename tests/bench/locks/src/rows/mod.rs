//! The rows, in the order of the table.

mod expiry;
mod handoff;
mod one_key;
mod own_keys;
mod redlock;
mod renewal;
mod uncontended;

use anyhow::{Context, Result};

use crate::bench::Bench;
use crate::flags::Options;
use crate::job::Kind;

/// Measures all rows that are asked for.
pub(crate) fn run(options: &Options) -> Result<()> {
    let bench = Bench::new(options);
    uncontended::run(&bench)?;
    own_keys::run(&bench)?;
    one_key::run(&bench)?;
    handoff::run(&bench)?;
    expiry::run(&bench)?;
    redlock::run(&bench)?;
    renewal::run(&bench)
}

/// The names of variants, in the order in which they run.
fn names(variants: &[(&'static str, Kind)]) -> Vec<&'static str> {
    variants.iter().map(|(name, _)| *name).collect()
}

/// The client of a variant.
fn kind(variants: &[(&'static str, Kind)], name: &str) -> Result<Kind> {
    let found = variants.iter().find(|(variant, _)| *variant == name);
    found.map(|(_, kind)| *kind).context("a variant of this row")
}
