//! Distributed locks for async functions: one attribute, and the body runs on one machine at a time.
//!
//! ```
//! use lock_runtime::{LockError, LockManager, current, distributed_lock};
//!
//! #[distributed_lock(key = "order:<id>", ttl = "10s", on_conflict = "retry")]
//! async fn ship(id: u64) -> Result<u64, LockError> {
//!     // runs on one machine at a time for each order
//!     let lease = current().expect("inside the body there is a lease");
//!     Ok(lease.fence().get()) // send it along with what you write
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), LockError> {
//! LockManager::connect("memory://").await?.install()?; // or redis://127.0.0.1:6379
//! assert!(ship(42).await? > 0);
//! # Ok(())
//! # }
//! ```
//!
//! # What happens
//!
//! The call acquires a lease: a key in Redis, set and expired in one atomic step, its value a random token. The lease
//! is renewed in the background, on a thread of its own, until the body ends. Then the body's locals and parameters are
//! dropped, and the lock is released by compare-and-delete; so also when the body panics or its caller drops it. If
//! the lease is lost before, the body is stopped ([`LostReason`] says why), unless `on_lost = "continue"`.
//!
//! # What it promises, and what not
//!
//! A lease is valid until its deadline, which the local clock decides: the time before the request was sent, plus the
//! ttl, less a drift of a hundredth and 2 ms. Within that, and as long as the server keeps its data and its clock does
//! not jump, there is one holder. No lock service can promise more to a process that may be paused at any moment: when
//! it wakes, somebody else may hold the lock. What must never go wrong is therefore checked where it is written, by
//! the [`Fence`]: the resource remembers the highest one and refuses lower ones.
//!
//! One Redis server can lose a lock: by a restart without persistence, by a failover to a replica that had not got it
//! ([`LockManagerBuilder::min_replicas`] narrows that), by eviction (set `maxmemory-policy noeviction`). The holder finds
//! out at its next renewal, which follows a reconnection at once; fences go on growing. A majority of independent servers
//! loses a lock only with the data of so many that no majority is left which has it.
//!
//! [`gate`] has the resource's side of a fence, for memory, Redis and SQL.
//!
//! # Backends
//!
//! | URL | what it is |
//! | --- | --- |
//! | `memory://` | in this process, for development and tests; `memory://name` is shared by name |
//! | `redis://user:password@host:6379/0` | one Redis server |
//! | `rediss://…` | the same over TLS (feature `tls`, on by default) |
//! | `unix:///path/of/the.sock?db=0&user=u&pass=p` | the same over a Unix socket |
//! | `redis+sentinel://h:26379,h:26379/service` | the master that the sentinels name, followed through failovers |
//! | `redis+cluster://h:6379,h:6379` | Redis Cluster |
//! | `redlock://h:6379,h:6379,h:6379` | a majority of independent servers |
//!
//! `rediss+sentinel://` and `rediss+cluster://` are the same over TLS;
//! [`LockManagerBuilder::redlock`] takes a URL for each server.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! | --- | --- | --- |
//! | `macros` | yes | the attribute [`distributed_lock`] |
//! | `queue` | yes | `on_conflict = "queue"`: [`Queue`], [`Worker`]; brings serde_json and inventory |
//! | `tls` | yes | `rediss://` |
//!
//! # Runtimes
//!
//! Annotated functions need tokio only for the manager's `shutdown` and whatever their own bodies use. A manager may
//! be used from several runtimes. In a test whose clock is paused, the in-process backend's leases live by that clock.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")
)]

mod acquire;
mod attempts;
mod backend;
mod body;
mod buckets;
mod builder;
mod call;
mod clock;
mod complete;
mod contender;
mod ended;
mod error;
mod fence;
pub mod gate;
mod grant;
mod guard;
mod hand_over;
mod hold;
mod holder;
mod key;
mod lease;
mod line;
mod local;
mod manager;
#[cfg_attr(
    not(feature = "simulation"),
    allow(unreachable_pub, reason = "public for simulations only")
)]
mod network;
mod number;
mod outcome;
mod ownership;
mod pauses;
mod prefetch;
mod present;
#[cfg(feature = "queue")]
mod queue;
mod release;
mod renewal;
mod request;
mod schedule;
mod scope;
#[cfg(test)]
#[path = "tests/scripted.rs"]
mod scripted;
mod shutdown;
mod state;
mod telemetry;
mod template;
mod terms;
mod thread;
mod timeline;
mod timetable;
mod tls;
mod turning;
mod url;
mod waiter;

pub use builder::LockManagerBuilder;
pub use error::{LockError, LostReason};
pub use fence::Fence;
pub use guard::LockGuard;
pub use holder::Holder;
pub use key::Key;
pub use lease::Lease;
#[cfg(feature = "macros")]
pub use lock_macros::distributed_lock;
pub use manager::LockManager;
pub use outcome::Skipped;
#[cfg(feature = "queue")]
pub use queue::{
    CallEnd, CallState, Cancellation, DeathCause, InvalidTicket, Outcome, Queue, QueueCounts, Queued, QueuedCall,
    Ticket, TracePropagation, Worker,
};
pub use request::LockRequest;
pub use scope::current;
pub use tls::Tls;

/// A network that a test simulates: deterministic, with the real client in it.
#[cfg(feature = "simulation")]
#[doc(hidden)]
pub mod simulation {
    pub use crate::network::{Connecting, Network, Stream};
}

/// What the attribute's expansion calls. Not for use by hand: it may change with every version.
#[doc(hidden)]
pub mod __private {
    pub use crate::call::{Call, call, call_or_skip};
    pub use crate::complete::Complete;
    pub use crate::ended::Ended;
    pub use crate::outcome::{CarriesLockError, Lockable, Returns, Skippable, never, returns, returns_or_skips};
    #[cfg(feature = "queue")]
    pub use crate::queue::private as queue;
    pub use crate::template::{IntoKey, KeyValue, ManagerRef, Template, key};
    pub use crate::terms::Spec;
}
