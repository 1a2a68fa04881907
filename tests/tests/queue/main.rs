//! What a user may rely on of `on_conflict = "queue"`, sentence by sentence, on every backend, and what real faults do
//! to it on servers that the tests own.
//!
//! Written from the outside: the tests know the public names, what the contract says about them and what an operator
//! sees in Redis. All annotated functions of this program stand in `functions`, because a worker finds every one of
//! them, whichever test it works for; so they share one type of state.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails, and says why"
)]

mod acting;
mod attempts;
mod blocking;
mod callers;
mod child;
mod clocks;
mod deployment;
mod endings;
mod exclusion;
mod faults_hung;
mod faults_killed;
mod faults_refused;
mod faults_replies;
mod faults_restart;
mod functions;
mod limits;
mod looking;
mod order;
mod payload;
mod permissions;
mod policy;
mod quiet;
mod sharing;
mod starting;
mod stopping;
mod support;
mod tracing;
mod waking;
