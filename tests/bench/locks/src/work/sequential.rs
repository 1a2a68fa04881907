//! Locks that nobody contends for: one task, and many tasks with a key each.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{on_tasks, ready};
use crate::clients::Client;
use crate::clock::{micros, now};
use crate::job::Outcome;

/// One call after the other on 100 rotating keys.
const KEYS: u32 = 100;

pub(super) async fn one_after_the_other(client: &impl Client, warm: u32, cycles: u32) -> Result<Outcome> {
    for cycle in 0..warm {
        client.cycle(cycle % KEYS).await?;
    }
    let started = ready().await?;
    let mut samples = Vec::with_capacity(cycles as usize);
    for cycle in 0..cycles {
        let before = now();
        client.cycle(cycle % KEYS).await?;
        samples.push(micros(before, now()));
    }
    Ok(started.over(samples))
}

pub(super) async fn side_by_side<C: Client>(client: C, tasks: u32, time: Duration) -> Result<Outcome> {
    on_tasks(tasks, |task| {
        let client = client.clone();
        async move { client.cycle(task).await }
    })
    .await?;
    let started = ready().await?;
    let end = Instant::now() + time;
    let all = on_tasks(tasks, |task| {
        let client = client.clone();
        async move {
            let mut samples = Vec::new();
            while Instant::now() < end {
                let before = now();
                client.cycle(task).await?;
                samples.push(micros(before, now()));
            }
            Ok(samples)
        }
    })
    .await?;
    Ok(started.over(all.into_iter().flatten().collect()))
}
