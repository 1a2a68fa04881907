//! What a user may rely on, sentence by sentence, on every backend.
//!
//! The tests are written from the outside: they know the public names, what the contract says about
//! them and, in `redis_layout`, what other clients of the same server see. A test is named as the
//! sentence that it holds the library to.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails, and says why"
)]

mod compensation;
mod current;
mod errors;
mod fences;
mod gate;
mod guard;
mod guard_drop;
mod hold_at_least;
mod hold_at_least_ends;
mod holding;
mod joined;
mod keys;
mod loss;
mod manager;
mod operators;
mod order;
mod paused_clock;
mod policies;
mod properties;
mod redis_layout;
mod reentry;
mod release;
mod runtimes;
mod shutdown;
mod subscribers;
mod support;
mod templates;
mod tracing;
mod urls;
mod validity;
mod waiting;
