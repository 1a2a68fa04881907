//! What happened, in one order: a list on a server that nobody disturbs.

use anyhow::{Context, Result};
use redis::aio::MultiplexedConnection;

/// The list's name.
const LIST: &str = "log";

/// What was done, in the order in which the server heard of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    Started {
        key: u32,
        number: u32,
        life: u32,
    },
    Ended {
        key: u32,
        number: u32,
        life: u32,
    },
    /// That life of a worker is over for certain.
    Killed {
        life: u32,
    },
}

/// The way to the list, for one process.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    connection: MultiplexedConnection,
    life: u32,
}

impl Log {
    pub(crate) async fn open(url: &str, life: u32) -> Result<Self> {
        let client = redis::Client::open(url).context("the log's URL")?;
        let connection = client.get_multiplexed_async_connection().await;
        Ok(Self {
            connection: connection.context("the log's server")?,
            life,
        })
    }

    pub(crate) async fn started(&self, key: u32, number: u32) -> Result<(), redis::RedisError> {
        self.push(format!("s {key} {number} {}", self.life)).await
    }

    pub(crate) async fn ended(&self, key: u32, number: u32) -> Result<(), redis::RedisError> {
        self.push(format!("e {key} {number} {}", self.life)).await
    }

    pub(crate) async fn killed(&self, life: u32) -> Result<(), redis::RedisError> {
        self.push(format!("k {life}")).await
    }

    async fn push(&self, line: String) -> Result<(), redis::RedisError> {
        let mut connection = self.connection.clone();
        redis::cmd("RPUSH")
            .arg(LIST)
            .arg(line)
            .query_async(&mut connection)
            .await
    }

    /// Everything, from the beginning.
    pub(crate) async fn read(&self) -> Result<Vec<Event>> {
        let mut connection = self.connection.clone();
        let lines: Vec<String> = redis::cmd("LRANGE")
            .arg(LIST)
            .arg(0)
            .arg(-1)
            .query_async(&mut connection)
            .await
            .context("the log cannot be read")?;
        lines
            .iter()
            .map(|line| parse(line).with_context(|| format!("no event: {line}")))
            .collect()
    }
}

fn parse(line: &str) -> Option<Event> {
    let mut words = line.split(' ');
    let kind = words.next()?;
    let mut number = || words.next()?.parse().ok();
    Some(match kind {
        "s" => Event::Started {
            key: number()?,
            number: number()?,
            life: number()?,
        },
        "e" => Event::Ended {
            key: number()?,
            number: number()?,
            life: number()?,
        },
        "k" => Event::Killed { life: number()? },
        _ => return None,
    })
}
