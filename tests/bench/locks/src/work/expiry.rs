//! Locks whose holder is gone: how long after the ttl does the next one have them?

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use redis::aio::MultiplexedConnection;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

use super::{line, on_tasks, ready, say};
use crate::clients::{Client, manager, name, raw_connection};
use crate::clock::{micros, now};
use crate::job::{Job, Kind, Outcome, Task};

/// First key of these rows.
const KEY: u32 = 3000;
/// Other keys with a ttl, which the server's own sweep for expired keys has to look through.
const OTHERS: u32 = 1000;

/// A client of another kind took each lock and is not heard of again.
pub(super) async fn foreign<C: Client>(client: C, job: &Job, keys: u32, times: u32, ttl: u64) -> Result<Outcome> {
    let connection = prepared(job).await?;
    let started = ready().await?;
    let all = on_tasks(keys, |task| {
        let (client, mut connection) = (client.clone(), connection.clone());
        async move {
            let mut samples = Vec::new();
            for _ in 0..times {
                // So that the tasks do not ask in step.
                let ttl = ttl + fastrand::u64(0..50);
                let key = name(KEY + task);
                let before = now();
                let mut set = redis::cmd("SET");
                set.arg(&key).arg("foreign").arg("NX").arg("PX").arg(ttl);
                let taken: Option<String> = set.query_async(&mut connection).await?;
                ensure!(taken.is_some(), "{key} is not free");
                let entered = enter(&client, KEY + task).await?;
                samples.push(micros(before + ttl * 1_000_000, entered));
            }
            Ok(samples)
        }
    })
    .await?;
    Ok(started.over(all.into_iter().flatten().collect()))
}

/// Another process holds the locks, renews them, and is killed.
pub(super) async fn killed<C: Client>(client: C, job: &Job, keys: u32, ttl: u64) -> Result<Outcome> {
    let mut connection = prepared(job).await?;
    let mut holder = start_holder(job, keys, ttl).await?;
    let started = ready().await?;
    let waiters = tokio::spawn(on_tasks(keys, move |task| {
        let client = client.clone();
        async move { Ok((task, enter(&client, KEY + task).await?)) }
    }));
    // Anywhere between two renewals.
    tokio::time::sleep(Duration::from_millis(ttl + fastrand::u64(0..ttl / 2))).await;
    holder.kill().await?;
    // What it had sent is read before what is asked now: its socket has closed by then.
    tokio::time::sleep(Duration::from_millis(5)).await;
    let mut ends = Vec::new();
    for key in 0..keys {
        let before = now();
        let left: i64 = redis::cmd("PTTL")
            .arg(name(KEY + key))
            .query_async(&mut connection)
            .await?;
        ends.push(before + u64::try_from(left).context("the lock is held")? * 1_000_000);
    }
    let entered = waiters.await??;
    let delay = |(task, entered): (u32, u64)| micros(ends[task as usize], entered);
    Ok(started.over(entered.into_iter().map(delay).collect()))
}

/// The process that is killed: holds the locks until its input ends.
pub(super) async fn dies(servers: &[String], keys: u32, ttl: u64) -> Result<Outcome> {
    let manager = manager(servers, true).await?;
    let mut held = Vec::new();
    for key in 0..keys {
        let request = manager.lock(name(KEY + key)).ttl(Duration::from_millis(ttl));
        held.push(request.acquire().await?);
    }
    say(&"ready")?;
    let ended = tokio::task::spawn_blocking(line).await?;
    Err(ended.err().context("there is no more to read")?)
}

async fn start_holder(job: &Job, keys: u32, ttl: u64) -> Result<Child> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg("work")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("the process that holds")?;
    let order = Job {
        client: Kind::OursByHand,
        servers: job.servers.clone(),
        task: Task::Dies { keys, ttl },
    };
    let input = child.stdin.as_mut().context("a pipe")?;
    input.write_all(serde_json::to_string(&order)?.as_bytes()).await?;
    input.write_all(b"\n").await?;
    let output = child.stdout.as_mut().context("a pipe")?;
    let mut lines = BufReader::new(output).lines();
    lines.next_line().await?.context("the process that holds is ready")?;
    Ok(child)
}

/// A connection of its own, and other keys on the server.
async fn prepared(job: &Job) -> Result<MultiplexedConnection> {
    let mut connection = raw_connection(job.servers.first().context("a server")?).await?;
    for other in 0..OTHERS {
        let mut set = redis::cmd("SET");
        set.arg(format!("other:{other}")).arg("1").arg("PX").arg(600_000);
        set.query_async::<()>(&mut connection).await?;
    }
    Ok(connection)
}

async fn enter(client: &impl Client, key: u32) -> Result<u64> {
    let mut entered = 0;
    client
        .enter(key, async {
            entered = now();
        })
        .await?;
    Ok(entered)
}
