//! What is measured: the attribute, and the same by hand.

use std::future::Future;
use std::hint::black_box;

use anyhow::Result;
use lock_runtime::{LockError, LockManager, distributed_lock};

use super::{Client, TTL, name};

/// By the attribute: renewal armed, with a fence, and the manager that is installed.
#[derive(Clone)]
pub(crate) struct Ours;

/// Without the attribute.
#[derive(Clone)]
pub(crate) struct ByHand(LockManager);

#[distributed_lock(key = "bench:<key>", ttl = "10s")]
async fn annotated(key: u32) -> Result<(), LockError> {
    black_box(key);
    Ok(())
}

#[distributed_lock(key = "bench:<key>", ttl = "10s", on_conflict = "retry", wait = "120s")]
async fn contended<B: Future<Output = ()> + Send>(key: u32, body: B) -> Result<(), LockError> {
    black_box(key);
    body.await;
    Ok(())
}

/// One server, or a majority of several.
fn url(servers: &[String]) -> String {
    match servers {
        [one] => one.clone(),
        several => {
            let addresses: Vec<_> = several.iter().map(|url| url.trim_start_matches("redis://")).collect();
            format!("redlock://{}", addresses.join(","))
        }
    }
}

/// With and without hand-over: the one place that knows how it is switched off.
pub(crate) async fn manager(servers: &[String], hand_over: bool) -> Result<LockManager> {
    // Without a namespace, so that keys are on the server as every other library has them.
    let builder = LockManager::builder().url(url(servers)).namespace("");
    Ok(builder.hand_over(hand_over).connect().await?)
}

impl Ours {
    pub(crate) async fn open(servers: &[String], hand_over: bool) -> Result<Ours> {
        manager(servers, hand_over).await?.install()?;
        Ok(Ours)
    }
}

impl Client for Ours {
    async fn cycle(&self, key: u32) -> Result<()> {
        Ok(annotated(key).await?)
    }

    async fn enter<B: Future<Output = ()> + Send>(&self, key: u32, body: B) -> Result<()> {
        Ok(contended(key, body).await?)
    }
}

impl ByHand {
    pub(crate) async fn open(servers: &[String]) -> Result<ByHand> {
        Ok(ByHand(manager(servers, true).await?))
    }
}

impl Client for ByHand {
    async fn cycle(&self, key: u32) -> Result<()> {
        let guard = self.0.lock(name(key)).ttl(TTL).acquire().await?;
        Ok(guard.release().await?)
    }

    async fn enter<B: Future<Output = ()> + Send>(&self, key: u32, body: B) -> Result<()> {
        let wait = std::time::Duration::from_secs(120);
        let guard = self.0.lock(name(key)).ttl(TTL).wait(wait).acquire().await?;
        body.await;
        Ok(guard.release().await?)
    }
}
