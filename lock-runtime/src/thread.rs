//! The lock thread: a runtime of our own for renewals, releases and connections.
//!
//! Renewals on the application's runtime stop when it is blocked (measured: both workers blocked for 3 s, longest
//! gap 3.1 s; here 0.2 s at a period of 0.2 s). Connections die with the runtime that made them, so that a manager
//! used from two runtimes would lose them with the first. And a guard may be dropped where there is no runtime.

use std::io;
use std::sync::mpsc;
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

/// Ends the thread when it is dropped: with the last manager, guard, lease and running release that need it.
pub(crate) struct LockThread {
    stop: CancellationToken,
}

impl LockThread {
    /// # Errors
    ///
    /// The operating system's, when it gives no thread or no event queue.
    pub(crate) fn start() -> io::Result<(Handle, Self)> {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let (report, started) = mpsc::sync_channel(1);
        // The runtime is made and dropped on its thread: tokio panics when one is dropped inside a task.
        let run = move || {
            let runtime = match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                // The caller waits for this; when it does not, nobody needs the thread.
                Err(error) => return drop(report.send(Err(error))),
            };
            if report.send(Ok(runtime.handle().clone())).is_ok() {
                runtime.block_on(stopped.cancelled());
            }
        };
        thread::Builder::new().name("distributed-lock".to_owned()).spawn(run)?;
        let handle = started.recv().map_err(io::Error::other)??;
        Ok((handle, Self { stop }))
    }
}

impl LockThread {
    /// Ends the thread soon, wherever its tasks are. Not joined: the last release runs on the thread itself.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }
}

impl Drop for LockThread {
    fn drop(&mut self) {
        self.stop();
    }
}
