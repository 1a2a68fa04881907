//! Many tasks of this process, and perhaps of others, that want the same key.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;

use super::{on_tasks, ready, shared};
use crate::clients::Client;
use crate::clock::{micros, now};
use crate::job::Outcome;

/// Of the row's own key; the warm-up has another one.
const KEY: u32 = 1000;
const WARM: u32 = 1001;

pub(super) async fn one_key<C: Client>(client: C, tasks: u32, each: u32, body: Duration) -> Result<Outcome> {
    let warm = client.clone();
    on_tasks(4, move |_| {
        let client = warm.clone();
        async move { client.enter(WARM, async {}).await }
    })
    .await?;

    let started = ready().await?;
    let inside = shared(AtomicBool::new(false));
    let violations = shared(AtomicU64::new(0));
    let all = on_tasks(tasks, |_| {
        let (client, inside, violations) = (client.clone(), inside.clone(), violations.clone());
        async move {
            let mut calls = Vec::with_capacity(each as usize);
            for _ in 0..each {
                let asked = now();
                let (mut entered, mut left) = (0, 0);
                client
                    .enter(KEY, async {
                        entered = now();
                        if inside.swap(true, Ordering::AcqRel) {
                            violations.fetch_add(1, Ordering::Relaxed);
                        }
                        if !body.is_zero() {
                            tokio::time::sleep(body).await;
                        }
                        inside.store(false, Ordering::Release);
                        left = now();
                    })
                    .await?;
                calls.push((asked, entered, left));
            }
            Ok(calls)
        }
    })
    .await?;

    let calls: Vec<_> = all.into_iter().flatten().collect();
    let mut outcome = started.over(
        calls
            .iter()
            .map(|(asked, entered, _)| micros(*asked, *entered))
            .collect(),
    );
    outcome.bodies = calls.into_iter().map(|(_, entered, left)| (entered, left)).collect();
    outcome.violations = violations.load(Ordering::Relaxed);
    Ok(outcome)
}
