//! Distributed locks for async functions: leases with a heartbeat, fences and conflict policies, on Redis or in
//! process.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")
)]

mod acquire;
mod backend;
mod body;
mod builder;
mod call;
mod clock;
mod error;
mod fence;
mod guard;
mod hold;
mod holder;
mod key;
mod lease;
mod manager;
mod outcome;
mod ownership;
mod release;
mod renewal;
mod request;
mod schedule;
mod scope;
mod shutdown;
mod telemetry;
mod template;
mod terms;
mod thread;
mod timeline;
mod url;

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
pub use request::LockRequest;
pub use scope::current;

/// What the attribute's expansion calls. Not for use by hand: it may change with every version.
#[doc(hidden)]
pub mod __private {
    pub use crate::call::{Call, Ended, compensate};
    pub use crate::outcome::{CarriesLockError, Lockable, Returns, Skippable, returns, returns_or_skips};
    pub use crate::template::{IntoKey, KeyValue, ManagerRef, Template, key, template};
    pub use crate::terms::Spec;
}
