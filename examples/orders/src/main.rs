//! An HTTP service over functions that are locked for each order.
//!
//! `cargo run --bin orders`, then in two other terminals, at the same time:
//! `curl -i -X POST http://127.0.0.1:3000/orders/7/ship`
//!
//! `LOCK_URL=redis://127.0.0.1:6379` lets several processes share the locks; `ORDERS_ADDRESS` is
//! where to listen (`127.0.0.1:3000` unless set).

mod answers;
mod routes;

use std::env;
use std::error::Error;
use std::time::Duration;

use lock_runtime::LockManager;
use orders_service::Shop;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// How long requests that are being answered get to finish when the service is told to stop.
const GRACE: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = variable("LOCK_URL", "memory://");
    let locks = LockManager::builder().url(url).namespace("orders:").connect().await?;

    let listener = TcpListener::bind(variable("ORDERS_ADDRESS", "127.0.0.1:3000")).await?;
    println!("listening on http://{}", listener.local_addr()?);

    let (stop, stopped) = oneshot::channel::<()>();
    let service = axum::serve(listener, routes::router(Shop::new(locks.clone())))
        // Also when the other side is dropped: then nobody is left to say it.
        .with_graceful_shutdown(async { drop(stopped.await) });

    // Both at once: from the signal on no new connection and no new hold, and what is running gets
    // the grace. After that its lease is lost, its request answered, and every lock is free.
    let (served, ()) = tokio::join!(service, async {
        told_to_stop().await;
        println!("stopping");
        drop(stop);
        locks.shutdown(GRACE).await;
        println!("every lock is released");
    });
    Ok(served?)
}

/// An environment variable, or what to take where it is empty or not set.
fn variable(name: &str, otherwise: &str) -> String {
    env::var(name)
        .ok()
        .filter(|value| !value.is_empty())
        .unwrap_or_else(|| otherwise.to_owned())
}

/// Ctrl-C, or SIGTERM where there is such a thing.
async fn told_to_stop() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    // An error means that the signal cannot be had; stopping at once would be worse than never.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}
