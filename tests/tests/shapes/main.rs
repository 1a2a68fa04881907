//! Function shapes that break attribute macros, and what the attribute must do to none of them: the
//! list is in the attribute's own documentation and in the names of these tests.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::todo, reason = "a test may")]

mod body;
mod compensation;
mod double;
pub mod double_queue;
mod drop_order;
#[path = "../ui/ok/every_option.rs"]
#[allow(
    dead_code,
    let_underscore_drop,
    clippy::let_underscore_future,
    reason = "it has a `main` of its own, for `cargo xtask expand`"
)]
mod every_option;
#[path = "../ui/ok/every_queue.rs"]
#[allow(
    dead_code,
    let_underscore_drop,
    clippy::too_many_arguments,
    reason = "it has a `main` of its own, for `cargo xtask expand`"
)]
mod every_queue;
#[path = "../ui/ok/every_shape.rs"]
mod every_shape;
mod future_size;
mod hygiene;
mod options;
mod parameters;
mod queue;
mod receivers;
mod send_sync;
mod signatures;

use lock_runtime::LockManager;
use std::sync::{Mutex, Once, PoisonError};

/// Runs a future to its end, with an in-process manager installed: one at a time, because there is one such manager and
/// two tests may lock the same key.
fn run<T>(future: impl Future<Output = T>) -> T {
    static INSTALLED: Once = Once::new();
    static ALONE: Mutex<()> = Mutex::new(());
    INSTALLED.call_once(|| LockManager::in_memory().install().expect("nobody else installs one"));
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime")
        .block_on(future)
}

/// Is the caller inside a body that holds a lock?
fn locked() -> bool {
    lock_runtime::current().is_some()
}
