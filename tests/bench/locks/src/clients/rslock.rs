//! The peer rslock: polls, after a random pause.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use rslock::LockManager;

use super::{Client, TTL, name};

/// Its manager.
#[derive(Clone)]
pub(crate) struct Rslock(Arc<LockManager>);

impl Rslock {
    /// With this for the longest pause in place of its own, where one is given.
    pub(crate) fn open(servers: &[String], pause: Option<Duration>) -> Rslock {
        let mut manager = LockManager::new(servers.to_vec());
        if let Some(pause) = pause {
            manager.set_retry(u32::MAX, pause);
        }
        Rslock(Arc::new(manager))
    }
}

impl Client for Rslock {
    async fn cycle(&self, key: u32) -> Result<()> {
        let lock = self.0.lock(name(key).as_str(), TTL).await?;
        self.0.unlock(&lock).await;
        Ok(())
    }

    async fn enter<B: Future<Output = ()> + Send>(&self, key: u32, body: B) -> Result<()> {
        let lock = self.0.acquire_no_guard(name(key).as_str(), TTL).await?;
        body.await;
        self.0.unlock(&lock).await;
        Ok(())
    }
}
