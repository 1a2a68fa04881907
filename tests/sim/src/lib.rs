//! The real runtime and the real client library in a simulated world: one seed, one run, again and again the same.
//!
//! - [`server`]: a Redis server; the library's scripts are native functions in it.
//! - [`conformance`]: what holds that server to the answers of a real one.
//! - [`plan`]: from a seed to everything that a run leaves to chance.
//! - [`world`]: hosts and links (turmoil), machines that can be paused, faults.
//! - [`program`]: what the client processes do with the real library.
//! - [`observer`]: sees everything at the true time, and judges.
//! - [`run`](mod@run): one seed from its plan to its verdict.

pub mod batch;
pub mod conformance;
pub mod observer;
pub mod plan;
pub mod program;
pub mod run;
pub mod server;
mod trace;
pub mod world;

pub use run::{Outcome, run};
