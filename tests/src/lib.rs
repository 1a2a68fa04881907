//! What the tests share: Redis servers that a test owns and may break, a proxy that loses replies,
//! waiting for a condition, and fixtures that run one test on every backend.
//!
//! Nothing here installs anything or leaves anything behind: servers live in a temporary folder,
//! listen on the loopback address only, and die with the test process however that ends.
//!
//! One function shape cannot stand among the tests, because the workspace forbids it; here it compiles:
//!
//! ```
//! #[lock_runtime::distributed_lock(key = "shape")]
//! async unsafe fn not_safe(byte: *const u8) -> Result<u8, lock_runtime::LockError> {
//!     // SAFETY: never called.
//!     Ok(unsafe { *byte })
//! }
//! ```
//!
//! And two that must not: reasons and errors may become more, so that whoever tells them apart has an answer to others.
//!
//! ```compile_fail,E0004
//! use lock_runtime::LostReason::{self, Expired, MaxHold, Missing, Shutdown, Taken};
//!
//! fn is_over(reason: LostReason) -> bool {
//!     match reason {
//!         Expired | MaxHold => true,
//!         Missing | Shutdown | Taken => false,
//!     }
//! }
//! ```
//!
//! ```compile_fail,E0004
//! use lock_runtime::LockError;
//!
//! fn is_refused(error: &LockError) -> bool {
//!     match error {
//!         LockError::Conflict { .. } | LockError::Reentered { .. } | LockError::ShutDown { .. } => true,
//!         LockError::Unavailable { .. } | LockError::Lost { .. } | LockError::WrongType { .. } => false,
//!         LockError::NoManager { .. } | LockError::AlreadyInstalled => false,
//!         LockError::InvalidKey { .. } | LockError::InvalidUrl { .. } | LockError::InvalidOption { .. } => false,
//!         LockError::QueueFull { .. } | LockError::CallTooLarge { .. } | LockError::Unstorable { .. } => false,
//!         LockError::NoQueue { .. } | LockError::InvalidWorker { .. } => false,
//!     }
//! }
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails, and says why"
)]

pub mod authority;
pub mod backends;
pub mod cluster_group;
pub mod config;
pub mod eventually;
pub mod history;
pub mod migration;
pub mod process;
pub mod proxy;
pub mod redlock_group;
pub mod replication;
pub mod resource;
pub mod sentinel_group;
pub mod server;

pub use authority::Authority;
pub use backends::{Fixture, each_backend};
pub use cluster_group::ClusterGroup;
pub use eventually::{eventually, eventually_blocking};
pub use migration::Migration;
pub use proxy::Proxy;
pub use redlock_group::RedlockGroup;
pub use replication::Replication;
pub use sentinel_group::SentinelGroup;
pub use server::RedisServer;
