//! Real faults on real servers that the tests own.
//!
//! Numbers come from the contract: "within 5 s" is 5 s here; "at once" and "within milliseconds" are
//! [`support::SOON`], which leaves room for a loaded machine and is far below every ttl it is
//! compared with.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails, and says why"
)]

mod batch;
mod cancelled;
mod connect;
mod dropped;
mod fences;
mod flapping;
mod harness;
mod helper_keys;
mod late;
mod latency;
mod lost;
mod lost_body;
mod lost_reply;
mod permissions;
mod reconnect;
mod refused;
mod runtimes;
mod starved;
mod support;
mod tls;
mod unavailable;
