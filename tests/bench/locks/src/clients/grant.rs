//! A prototype for the limit of a hand-off: a queue on the server, whose release gives the lock to the next in it.
//!
//! For measuring only: a waiter that dies keeps the lock from all behind it until the ttl, and nothing is renewed.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, PushInfo, PushKind, Value};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{Client, TTL, name};

/// KEYS: the lock, its queue. ARGV: token, ttl, channel. 1: taken; 0: in the queue.
const ENTER: &str = "if redis.call('set', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end \
    redis.call('rpush', KEYS[2], ARGV[1] .. ' ' .. ARGV[3]) return 0";
/// KEYS: the lock, its queue. ARGV: token, ttl.
const LEAVE: &str = "if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end \
    local next = redis.call('lpop', KEYS[2]) \
    if not next then return redis.call('del', KEYS[1]) end \
    local space = string.find(next, ' ', 1, true) local token = string.sub(next, 1, space - 1) \
    redis.call('set', KEYS[1], token, 'PX', ARGV[2]) \
    redis.call('publish', string.sub(next, space + 1), token) return 1";

/// Who waits for a grant, by token. Never locked across an await.
type Waiters = Arc<Mutex<HashMap<String, oneshot::Sender<()>>>>;

/// One connection, which also gets the messages.
#[derive(Clone)]
pub(crate) struct Grant {
    connection: MultiplexedConnection,
    waiters: Waiters,
    channel: String,
    enter: String,
    leave: String,
}

impl Grant {
    pub(crate) async fn open(url: &str) -> Result<Grant> {
        let waiters = Waiters::default();
        let to_wake = Arc::clone(&waiters);
        let config = AsyncConnectionConfig::new().set_push_sender(move |push: PushInfo| {
            wake(&to_wake, push);
            Ok::<(), redis::aio::SendError>(())
        });
        let mut connection = redis::Client::open(format!("{url}/?protocol=resp3"))?
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        let channel = format!("grant:{}", Uuid::new_v4());
        connection.subscribe(&channel).await?;
        let mut load = async |script: &str| -> redis::RedisResult<String> {
            let mut command = redis::cmd("SCRIPT");
            command.arg("LOAD").arg(script).query_async(&mut connection).await
        };
        let (enter, leave) = (load(ENTER).await?, load(LEAVE).await?);
        Ok(Grant {
            connection,
            waiters,
            channel,
            enter,
            leave,
        })
    }

    async fn acquire(&self, key: &str, queue: &str, token: &str) -> Result<()> {
        let ttl = TTL.as_millis() as u64;
        let mut set = redis::cmd("SET");
        set.arg(key).arg(token).arg("NX").arg("PX").arg(ttl);
        let answer: Option<String> = set.query_async(&mut self.connection.clone()).await?;
        if answer.is_some() {
            return Ok(());
        }
        let (grant, granted) = oneshot::channel();
        self.lock().insert(token.to_owned(), grant);
        let mut enter = redis::cmd("EVALSHA");
        enter
            .arg(&self.enter)
            .arg(2)
            .arg(key)
            .arg(queue)
            .arg(token)
            .arg(ttl)
            .arg(&self.channel);
        let taken: bool = enter.query_async(&mut self.connection.clone()).await?;
        if taken {
            self.lock().remove(token);
            return Ok(());
        }
        granted.await.context("the grant came with its waiter")
    }

    async fn release(&self, key: &str, queue: &str, token: &str) -> Result<()> {
        let mut leave = redis::cmd("EVALSHA");
        leave
            .arg(&self.leave)
            .arg(2)
            .arg(key)
            .arg(queue)
            .arg(token)
            .arg(TTL.as_millis() as u64);
        Ok(leave.query_async(&mut self.connection.clone()).await?)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, oneshot::Sender<()>>> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(waiters: &Waiters, push: PushInfo) {
    let (PushKind::Message, Some(Value::BulkString(token))) = (push.kind, push.data.last()) else {
        return;
    };
    let waiter = std::str::from_utf8(token).ok().and_then(|token| {
        let mut waiters = waiters.lock().unwrap_or_else(PoisonError::into_inner);
        waiters.remove(token)
    });
    if let Some(waiter) = waiter {
        let _ = waiter.send(());
    }
}

impl Client for Grant {
    async fn cycle(&self, key: u32) -> Result<()> {
        self.enter(key, async {}).await
    }

    async fn enter<B: Future<Output = ()> + Send>(&self, key: u32, body: B) -> Result<()> {
        let key = name(key);
        let (queue, token) = (format!("{key}:queue"), Uuid::new_v4().to_string());
        self.acquire(&key, &queue, &token).await?;
        body.await;
        self.release(&key, &queue, &token).await
    }
}
