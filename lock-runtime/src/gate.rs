//! The other half of a fence: a resource that refuses what comes from a holder of the past.
//!
//! A lease can end while its holder does not know it yet: a process that stands still cannot look at a clock. So what a
//! holder writes carries its [`Fence`], and the resource takes nothing with a smaller one than it has seen. Here is that
//! check for three resources: memory of this process ([`Gate`]), a key in Redis ([`REDIS_SCRIPT`]), and a row in an SQL
//! database ([`SQL`]).
//!
//! ```
//! # use lock_runtime::{Fence, gate::Gate};
//! let gate = Gate::new();
//! gate.admit("account:7", Fence::from(5))?;
//! gate.admit("account:7", Fence::from(5))?; // the same holder again
//! assert!(gate.admit("account:7", Fence::from(4)).is_err()); // one of the past
//! gate.admit("account:8", Fence::from(4))?; // another resource
//! assert_eq!(gate.refused(), 1);
//! # Ok::<(), lock_runtime::gate::StaleFence>(())
//! ```

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::Fence;

/// Refuses stale fences for resources in this process. Share it by reference or in an `Arc`.
///
/// It keeps the largest fence of each resource it was asked about, about 50 bytes and the name, until
/// [`forget`](Self::forget).
#[derive(Debug, Default)]
pub struct Gate {
    /// The largest fence that each resource has seen. A std mutex, held for a look.
    seen: Mutex<HashMap<String, Fence>>,
    refused: AtomicU64,
}

/// What came with this fence is late: somebody with a larger one has been here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("fence {fence} is stale: the resource has seen {seen}; the lock was lost, and somebody else has it or had it")]
#[non_exhaustive]
pub struct StaleFence {
    /// The fence that was refused.
    pub fence: Fence,
    /// The largest one that the resource has seen.
    pub seen: Fence,
}

impl Gate {
    /// A gate that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes note of `fence` for `resource`. Call it together with the write, or another holder may come between the
    /// two: under the same mutex, say.
    ///
    /// # Errors
    ///
    /// [`StaleFence`] when the resource has seen a larger one. The write must not be done then.
    pub fn admit(&self, resource: &str, fence: Fence) -> Result<(), StaleFence> {
        let mut all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get_mut(resource) {
            Some(seen) if *seen > fence => {
                let seen = *seen;
                drop(all);
                self.refused.fetch_add(1, Ordering::Relaxed);
                Err(StaleFence { fence, seen })
            }
            Some(seen) => {
                *seen = fence;
                Ok(())
            }
            None => {
                all.insert(resource.to_owned(), fence);
                Ok(())
            }
        }
    }

    /// Forgets a resource that is gone. Not one that may come again: stale writes to it would then be taken.
    pub fn forget(&self, resource: &str) {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(resource);
    }

    /// How often something stale was refused. Each is a lost lease that would have cost an update.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

/// The same for a value in Redis, as a script for `EVAL`: writes the value and its fence in one step, or refuses.
///
/// `KEYS[1]` is the resource, a hash with the fields `fence`, `value` and `refused`; `ARGV[1]` is the fence, `ARGV[2]`
/// the new value. It answers 1 when it was written, and 0 when the fence was stale: then nothing was written but the
/// count of refusals.
pub const REDIS_SCRIPT: &str = include_str!("gate/gate.lua");

/// The same for a row, in SQL: an update that changes nothing when the fence is stale. It needs a column `fence BIGINT
/// NOT NULL DEFAULT 0` beside the data; no row changed means "stale" (or that there is no such row). Compare with `<=`,
/// because one holder may write more than once.
pub const SQL: &str = include_str!("gate/gate.sql");
