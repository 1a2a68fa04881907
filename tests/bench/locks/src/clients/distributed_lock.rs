//! The peer distributed-lock-redis: does not wait for another holder by itself, so its caller polls.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use distributed_lock_core::traits::{DistributedLock as _, LockHandle as _, LockProvider as _};
use distributed_lock_redis::RedisLockProvider;

use super::{Client, name};

const POLL: Duration = Duration::from_millis(10);

/// Its provider.
#[derive(Clone)]
pub(crate) struct DistributedLock(Arc<RedisLockProvider>);

impl DistributedLock {
    pub(crate) async fn open(servers: &[String]) -> Result<DistributedLock> {
        // With its own ttl of 30 s: it refuses to work with a shorter one unless it is told more.
        let provider = RedisLockProvider::builder().urls(servers).build().await?;
        Ok(DistributedLock(Arc::new(provider)))
    }
}

impl Client for DistributedLock {
    async fn cycle(&self, key: u32) -> Result<()> {
        let lock = self.0.create_lock(&name(key));
        let handle = lock.try_acquire().await?.context("the lock is not free")?;
        Ok(handle.release().await?)
    }

    async fn enter<B: Future<Output = ()> + Send>(&self, key: u32, body: B) -> Result<()> {
        let lock = self.0.create_lock(&name(key));
        let handle = loop {
            match lock.try_acquire().await? {
                Some(handle) => break handle,
                None => tokio::time::sleep(POLL).await,
            }
        };
        body.await;
        Ok(handle.release().await?)
    }
}
