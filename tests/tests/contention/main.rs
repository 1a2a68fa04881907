//! What holds when many want one lock: turns, order, fairness, and what happens to the others when one of them dies,
//! gives up, or is told a lie.
//!
//! Written from the outside, as `behaviour` is. "Another process" is another manager where that is the same to the
//! library, and a real process where something is killed or counted. Bounds of the contract have room for a loaded
//! machine on top, and stay far below what the fault would cost if it were not handled.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails, and says why"
)]

mod bounds;
mod callers;
mod fairness;
mod foreign;
mod giving_up;
mod handed_over;
mod idle;
mod killed;
mod lost;
mod neighbour;
mod options;
mod order;
mod shutdown;
mod support;
mod talking;
mod turns;
mod wakeups;
