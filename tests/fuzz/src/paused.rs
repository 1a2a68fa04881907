//! A runtime of one thread whose clock is paused: what waits for a time-out has it at once.

use std::time::Duration;

/// Runs to the end; what still goes on in the background then is dropped.
pub(crate) fn run<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O");
    runtime.block_on(future)
}

/// What the library promises of everything that asks a server.
pub(crate) async fn within_5_s<F: Future>(future: F) -> F::Output {
    let promised = Duration::from_secs(5);
    tokio::time::timeout(promised, future)
        .await
        .expect("an answer within 5 s")
}
