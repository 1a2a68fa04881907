//! A hundred thousand leases that are held, and the same renewed by one EVALSHA each.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lock_runtime::LockGuard;
use uuid::Uuid;

use super::warnings::{Warnings, counted};
use super::{on_tasks, ready};
use crate::clients::{manager, name, raw_connection};
use crate::job::{Job, Outcome, Task};

/// Tasks that acquire, and tasks that renew.
const ACQUIRE: u32 = 256;
const RENEW: u32 = 1024;
const EXTEND: &str =
    "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('pexpire', KEYS[1], ARGV[2]) end return 0";

pub(super) async fn hold(job: &Job) -> Result<Outcome> {
    let Task::Renewal { leases, ttl, seconds } = job.task else {
        bail!("no job for holding leases");
    };
    tracing::subscriber::set_global_default(Warnings)?;
    let manager = manager(&job.servers, true).await?;
    let next = Arc::new(AtomicU32::new(0));
    let held: Vec<Vec<LockGuard>> = on_tasks(ACQUIRE, |_| {
        let (manager, next) = (manager.clone(), next.clone());
        async move {
            let mut held = Vec::new();
            loop {
                let key = next.fetch_add(1, Ordering::Relaxed);
                if key >= leases {
                    return Ok(held);
                }
                let request = manager.lock(name(key)).ttl(Duration::from_millis(ttl));
                held.push(request.acquire().await?);
            }
        }
    })
    .await?;
    let held: Vec<_> = held.into_iter().flatten().collect();

    // Leases that were acquired in one burst are due in one burst; all of that is in the time that counts.
    let started = ready().await?;
    let before = counted();
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let mut outcome = started.over(Vec::new());
    let lost = held.iter().filter(|guard| guard.lease().ensure_held().is_err()).count();
    outcome.late = counted() - before + lost as u64;
    // Not released one by one: the server is flushed, and the process ends.
    std::mem::forget(held);
    Ok(outcome)
}

pub(super) async fn each(url: &str, leases: u32, times: u32) -> Result<Outcome> {
    let mut connection = raw_connection(url).await?;
    let token = Uuid::new_v4().to_string();
    let script: String = redis::cmd("SCRIPT")
        .arg("LOAD")
        .arg(EXTEND)
        .query_async(&mut connection)
        .await?;
    let mut pipeline = redis::pipe();
    for key in 0..leases {
        pipeline
            .cmd("SET")
            .arg(name(key))
            .arg(&token)
            .arg("PX")
            .arg(60_000)
            .ignore();
        if key % 1000 == 999 {
            pipeline.query_async::<()>(&mut connection).await?;
            pipeline.clear();
        }
    }
    let started = ready().await?;
    let next = Arc::new(AtomicU32::new(0));
    on_tasks(RENEW, |_| {
        let (mut connection, next) = (connection.clone(), next.clone());
        let (script, token) = (script.clone(), token.clone());
        async move {
            loop {
                let renewal = next.fetch_add(1, Ordering::Relaxed);
                if renewal >= leases * times {
                    return Ok(());
                }
                let mut command = redis::cmd("EVALSHA");
                let key = name(renewal % leases);
                command.arg(&script).arg(1).arg(key).arg(&token).arg(60_000);
                let extended: bool = command.query_async(&mut connection).await?;
                extended.then_some(()).context("the key is there")?;
            }
        }
    })
    .await?;
    let mut outcome = started.over(Vec::new());
    outcome.count = u64::from(leases) * u64::from(times);
    Ok(outcome)
}
