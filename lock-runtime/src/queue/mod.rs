//! Calls that met a taken lock, stored and run later.
//!
//! A call goes `call` → `storing` → the store of the backend; from there a `worker` claims it (`claim`), calls the
//! function again as an [`Execution`](execution::Execution), and settles what became of it. `client` is the way to the
//! store, `admin` the operator's view.

mod admin;
mod call;
mod claim;
mod client;
mod execution;
mod function;
mod outcome;
mod parameter;
mod payload;
mod propagation;
mod record;
mod storing;
mod telemetry;
mod ticket;
mod worker;

#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use self::admin::Queue;
pub use self::outcome::{Outcome, Queued};
pub use self::propagation::TracePropagation;
pub use self::record::{CallEnd, CallState, Cancellation, DeathCause, QueueCounts, QueuedCall};
pub use self::ticket::{InvalidTicket, Ticket};
pub use self::worker::Worker;

/// What a manager's builder says of its queue.
#[derive(Clone)]
pub(crate) struct Settings {
    /// In bytes.
    pub(crate) longest_payload: usize,
    /// In calls.
    pub(crate) longest_queue: u64,
    pub(crate) propagation: Option<Arc<dyn TracePropagation>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            longest_payload: 1024 * 1024,
            longest_queue: 10_000_000,
            propagation: None,
        }
    }
}

/// What the expansion of an attribute with `on_conflict = "queue"` calls.
#[doc(hidden)]
pub mod private {
    pub use inventory::submit;

    pub use super::call::{Call, Entered};
    pub use super::execution::{Execution, Shown, ShownByDebug, ShownByDisplay, ShownByType, ShownOtherwise};
    pub use super::function::{Function, Registered, Running, State, StateType, run_by_worker, state};
    pub use super::outcome::{Queueable, ReturnsLater, returns_or_queues};
    pub use super::parameter::{Argument, Arguments, Parameter, Stored, Unreadable, parameter};
}
