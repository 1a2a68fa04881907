//! The redis crate alone, as Redis' documentation describes the lock.

use std::future::Future;
use std::time::Duration;

use anyhow::{Result, ensure};
use futures_util::future::join_all;
use redis::aio::MultiplexedConnection;
use uuid::Uuid;

use super::{Client, TTL, name};

const RELEASE: &str = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0";
const POLL: Duration = Duration::from_millis(10);

/// One server.
#[derive(Clone)]
pub(crate) struct Raw {
    connection: MultiplexedConnection,
    release: String,
}

/// Several servers: all are asked, all are waited for.
#[derive(Clone)]
pub(crate) struct RawMajority(Vec<Raw>);

pub(crate) async fn connect(url: &str) -> Result<MultiplexedConnection> {
    Ok(redis::Client::open(url)?.get_multiplexed_async_connection().await?)
}

impl Raw {
    pub(crate) async fn open(url: &str) -> Result<Raw> {
        let mut connection = connect(url).await?;
        let release = redis::cmd("SCRIPT")
            .arg("LOAD")
            .arg(RELEASE)
            .query_async(&mut connection)
            .await?;
        Ok(Raw { connection, release })
    }

    async fn set(&self, key: &str, token: &str) -> redis::RedisResult<bool> {
        let mut command = redis::cmd("SET");
        command
            .arg(key)
            .arg(token)
            .arg("NX")
            .arg("PX")
            .arg(TTL.as_millis() as u64);
        let answer: Option<String> = command.query_async(&mut self.connection.clone()).await?;
        Ok(answer.is_some())
    }

    async fn delete(&self, key: &str, token: &str) -> redis::RedisResult<bool> {
        let mut command = redis::cmd("EVALSHA");
        command.arg(&self.release).arg(1).arg(key).arg(token);
        command.query_async(&mut self.connection.clone()).await
    }
}

impl Client for Raw {
    async fn cycle(&self, key: u32) -> Result<()> {
        let (key, token) = (name(key), Uuid::new_v4().to_string());
        ensure!(self.set(&key, &token).await?, "{key} is not free");
        ensure!(self.delete(&key, &token).await?, "{key} was not ours");
        Ok(())
    }

    async fn enter<B: Future<Output = ()> + Send>(&self, key: u32, body: B) -> Result<()> {
        let (key, token) = (name(key), Uuid::new_v4().to_string());
        while !self.set(&key, &token).await? {
            tokio::time::sleep(POLL).await;
        }
        body.await;
        ensure!(self.delete(&key, &token).await?, "{key} was not ours");
        Ok(())
    }
}

impl RawMajority {
    pub(crate) async fn open(urls: &[String]) -> Result<RawMajority> {
        let mut servers = Vec::new();
        for url in urls {
            servers.push(Raw::open(url).await?);
        }
        Ok(RawMajority(servers))
    }

    fn enough(&self, answers: &[redis::RedisResult<bool>]) -> bool {
        let granted = answers.iter().filter(|answer| matches!(answer, Ok(true))).count();
        granted > self.0.len() / 2
    }
}

impl Client for RawMajority {
    async fn cycle(&self, key: u32) -> Result<()> {
        let (key, token) = (name(key), Uuid::new_v4().to_string());
        let granted = join_all(self.0.iter().map(|server| server.set(&key, &token))).await;
        ensure!(self.enough(&granted), "{key}: no majority");
        let released = join_all(self.0.iter().map(|server| server.delete(&key, &token))).await;
        ensure!(self.enough(&released), "{key}: no majority had it");
        Ok(())
    }

    async fn enter<B: Future<Output = ()> + Send>(&self, key: u32, body: B) -> Result<()> {
        body.await;
        self.cycle(key).await
    }
}
