//! What the driver asks of a process, and what that answers: a line of JSON each.

use serde::{Deserialize, Serialize};

/// What one process does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) client: Kind,
    /// The URLs of the servers; several: a majority of them.
    pub(crate) servers: Vec<String>,
    pub(crate) task: Task,
}

/// With which library, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// SET NX PX and EVALSHA over one connection; polls each 10 ms. With several servers: asks all, waits for all.
    Raw,
    /// Our scripts over one connection of the redis crate.
    Scripts,
    /// The attribute.
    Ours,
    /// The attribute, without handing a lock over inside the process.
    OursWithoutHandOver,
    /// `manager.lock(key).acquire()` and `release()`.
    OursByHand,
    Rslock,
    /// rslock with a retry after 0 to 10 ms in place of 0 to 200.
    RslockTuned,
    DistributedLock,
    /// A queue on the server, the next token set by the release, and a message to its owner.
    Grant,
}

/// The workload.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Task {
    /// One task, one call after the other, on rotating keys.
    Sequential { warm: u32, cycles: u32 },
    /// Many tasks, each with its own key, for so long.
    OwnKeys { tasks: u32, milliseconds: u64 },
    /// Many tasks, one key, so many calls for each; 0: an empty body.
    OneKey {
        tasks: u32,
        each: u32,
        body_microseconds: u64,
    },
    /// Holds the lock while another process waits for it, so many times.
    HandOff { times: u32, hot: bool },
    /// The other process.
    Wait,
    /// Waits for locks that a client took which was never heard of again.
    Expiry { keys: u32, times: u32, ttl: u64 },
    /// Waits for the locks of a process that is killed.
    Killed { keys: u32, ttl: u64 },
    /// The process that is killed.
    Dies { keys: u32, ttl: u64 },
    /// Holds so many leases for so long.
    Renewal { leases: u32, ttl: u64, seconds: u64 },
    /// Renews so many leases, each by its own EVALSHA, so many times.
    RenewEach { leases: u32, times: u32 },
}

/// What came out.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Microseconds: of calls, of waits, of hand-offs; what the row is about.
    pub(crate) samples: Vec<f64>,
    /// Nanoseconds of the monotonic clock: when each body began and ended.
    pub(crate) bodies: Vec<(u64, u64)>,
    /// How many calls.
    pub(crate) count: u64,
    /// Nanoseconds from the beginning to the end.
    pub(crate) wall: u64,
    /// Nanoseconds of processor time in between.
    pub(crate) processor: u64,
    /// Bodies of this process that overlapped.
    pub(crate) violations: u64,
    /// Warnings that a renewal is late, or that a lease is lost.
    pub(crate) late: u64,
}
