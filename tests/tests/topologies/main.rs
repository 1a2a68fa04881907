//! Locks on more than one server: a majority of independent ones, sentinels, clusters, replicas;
//! and what is checked when a manager connects.
//!
//! Numbers come from the contract: "within 5 s" is 5 s here. "Soon" is [`support::SOON`], which
//! leaves room for a loaded machine and is below every ttl that it is compared with.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails, and says why"
)]

mod checks;
mod cluster;
mod cluster_failover;
mod cluster_migration;
mod collector;
mod forger;
mod harness;
mod permissions;
mod recheck;
mod redlock;
mod redlock_at_once;
mod redlock_fences;
mod redlock_holding;
mod redlock_lanes;
mod redlock_members;
mod redlock_restart;
mod replicas;
mod secrets;
mod sentinel;
mod sentinel_failover;
mod sentinel_stale;
mod stored_calls;
mod support;
mod tls;
