//! The redis crate alone, sending our scripts: what a fence and a line cost on the server, and nothing of the library.

use std::future::Future;

use anyhow::{Result, ensure};
use redis::aio::MultiplexedConnection;
use uuid::Uuid;

use super::{Client, TTL, name, raw_connection};

const ACQUIRE: &str = include_str!("../../../../../lock-runtime/src/backend/redis/acquire.lua");
const RELEASE: &str = concat!(
    include_str!("../../../../../lock-runtime/src/backend/redis/release.lua"),
    include_str!("../../../../../lock-runtime/src/backend/redis/line/lib.lua"),
    include_str!("../../../../../lock-runtime/src/backend/redis/line/next.lua")
);
const COUNTER: &str = "distributed-lock:fence";

/// One server.
#[derive(Clone)]
pub(crate) struct Scripts {
    connection: MultiplexedConnection,
    acquire: String,
    release: String,
}

impl Scripts {
    pub(crate) async fn open(url: &str) -> Result<Scripts> {
        let mut connection = raw_connection(url).await?;
        let mut load = async |script: &str| -> redis::RedisResult<String> {
            let mut command = redis::cmd("SCRIPT");
            command.arg("LOAD").arg(script).query_async(&mut connection).await
        };
        let (acquire, release) = (load(ACQUIRE).await?, load(RELEASE).await?);
        Ok(Scripts {
            connection,
            acquire,
            release,
        })
    }
}

impl Client for Scripts {
    async fn cycle(&self, key: u32) -> Result<()> {
        let (key, token) = (name(key), format!("{} owner-of-this-process", Uuid::new_v4()));
        let mut acquire = redis::cmd("EVALSHA");
        acquire.arg(&self.acquire).arg(2).arg(&key).arg(COUNTER);
        acquire.arg(&token).arg(TTL.as_millis() as u64).arg(1);
        let fence: u64 = acquire.query_async(&mut self.connection.clone()).await?;
        ensure!(fence > 0, "{key} is not free");
        let mut release = redis::cmd("EVALSHA");
        release.arg(&self.release).arg(3).arg(&key).arg(COUNTER);
        release.arg(format!("distributed-lock:line:{key}"));
        release.arg(&token).arg(0).arg(format!("distributed-lock:free:{key}"));
        let released: u64 = release.query_async(&mut self.connection.clone()).await?;
        ensure!(released == 1, "{key} was not ours");
        Ok(())
    }

    async fn enter<B: Future<Output = ()> + Send>(&self, key: u32, body: B) -> Result<()> {
        body.await;
        self.cycle(key).await
    }
}
