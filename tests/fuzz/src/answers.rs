//! Stored values and answers of servers, whatever is in them: no panic, every operation ends in time with a value or an
//! error, and an operator sees of a stored value what is in it.
#![no_main]

mod heard;
mod paused;
mod reply;
mod server;

use std::sync::Arc;
use std::time::Duration;

use libfuzzer_sys::arbitrary::Unstructured;
use libfuzzer_sys::fuzz_target;
use lock_runtime::{LockError, LockManager};

use paused::within_5_s;
use server::Server;

/// A cluster least often: its map of 16,384 slots takes a hundred times as long as everything else.
const URLS: [&str; 8] = [
    SINGLE,
    SENTINEL,
    "redis+cluster://a:1,b:2",
    REDLOCK,
    SINGLE,
    SENTINEL,
    REDLOCK,
    REDLOCK,
];
const SINGLE: &str = "redis://a:1";
const SENTINEL: &str = "redis+sentinel://a:1,b:2,c:3/main";
const REDLOCK: &str = "redlock://a:1,b:2,c:3";

fuzz_target!(|data: &[u8]| {
    let mut data = Unstructured::new(data);
    let url = data.choose(&URLS).copied().unwrap_or(SINGLE);
    let replicas = usize::from(data.ratio(1, 8).unwrap_or_default());
    let steps: [u8; 2] = data.arbitrary().unwrap_or_default();
    let server = Server::new(data.take_rest());
    // Events are made, fields and all.
    let (_, _) = heard::during(|| paused::run(session(url, replicas, steps, &server)));
});

/// An error is as good as a value: it is told apart from a panic and from waiting for ever.
async fn session(url: &str, replicas: usize, steps: [u8; 2], server: &Server) -> Result<(), LockError> {
    let replicas = if url.starts_with("redlock") { 0 } else { replicas };
    let builder = LockManager::builder().url(url).min_replicas(replicas);
    let locks = within_5_s(builder.network(Arc::new(server.clone())).connect()).await?;
    for step in steps {
        let ended = match step % 4 {
            0 => inspect(&locks, server).await,
            1 => within_5_s(locks.force_release("job")).await.map(drop),
            2 => hold(&locks, step).await,
            _ => wait(&locks).await,
        };
        if let Err(error) = ended {
            assert!(!error.to_string().is_empty());
        }
    }
    within_5_s(locks.shutdown(Duration::from_secs(1))).await;
    Ok(())
}

async fn inspect(locks: &LockManager, server: &Server) -> Result<(), LockError> {
    let Some(holder) = within_5_s(locks.inspect("job")).await? else {
        return Ok(());
    };
    let shown = match holder.owner() {
        "" => holder.token().to_owned(),
        owner => format!("{} {owner}", holder.token()),
    };
    assert!(!holder.token().contains(' '));
    assert!(
        server.has_said(|bytes| String::from_utf8_lossy(bytes).trim_end_matches(' ') == shown.trim_end_matches(' ')),
        "no server said so: {holder:?}"
    );
    let _ = holder.remaining();
    Ok(())
}

async fn hold(locks: &LockManager, step: u8) -> Result<(), LockError> {
    let request = locks.lock("job").ttl(Duration::from_secs(2));
    let request = if step & 4 == 0 {
        request
    } else {
        request.hold_at_least(Duration::from_secs(1))
    };
    let Some(guard) = within_5_s(request.try_acquire()).await? else {
        return Ok(());
    };
    // Some renewals.
    tokio::time::sleep(Duration::from_secs(3)).await;
    within_5_s(guard.release()).await.map(drop)
}

/// For another holder, with a subscription.
async fn wait(locks: &LockManager) -> Result<(), LockError> {
    let wait = Duration::from_secs(1);
    within_5_s(locks.lock("job").wait(wait).acquire()).await.map(drop)
}
