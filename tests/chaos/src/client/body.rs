//! What is done under a lock: a counter is read, and written some time later.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use fastrand::Rng;
use lock_runtime::Lease;

use super::calls::Call;
use super::watched::{End, Watched};
use super::{Context, HOT, name, say};
use crate::protocol::Line;

/// How a body goes about it.
pub(super) struct Pace {
    rounds: u32,
    /// Between the read and the write.
    thinking: Duration,
    /// Without an await point, so that a process that stood still in it goes on to write before anybody can tell it
    /// that its lease is over: the fence's work.
    blocking: bool,
}

impl Pace {
    /// Mostly short; sometimes longer than the ttl, so that the lease must be renewed. Seldom that, where many wait.
    pub(super) fn drawn(key: u64, random: &mut Rng) -> Pace {
        let short = Duration::from_millis(random.u64(1..8));
        match random.u8(..if key < HOT { 120 } else { 40 }) {
            0 => Pace {
                rounds: random.u32(10..30),
                thinking: Duration::from_millis(100),
                blocking: false,
            },
            1 => Pace {
                rounds: 1,
                thinking: Duration::from_millis(random.u64(500..4000)),
                blocking: false,
            },
            2..=15 | 50..90 => Pace {
                rounds: 1,
                thinking: short,
                blocking: true,
            },
            // Long enough for somebody else to come between, where the servers have forgotten the lock.
            40..50 => Pace {
                rounds: 1,
                thinking: Duration::from_millis(random.u64(20..400)),
                blocking: false,
            },
            _ => Pace {
                rounds: 1,
                thinking: short,
                blocking: false,
            },
        }
    }
}

/// The body of a call, under this lease. Stopped by being dropped.
pub(super) async fn hold(context: &Context, call: &Call, lease: Lease) {
    call.started.store(true, Ordering::SeqCst);
    let id = context.next.fetch_add(1, Ordering::Relaxed);
    let fence = if context.without_fences { 0 } else { lease.fence().get() };
    let watched = Watched::begin(id, call, lease, &context.watchers);
    for _ in 0..call.pace.rounds {
        match step(context, call, id, fence).await {
            Ok(Step::Done) => {}
            Ok(Step::Stopped) => return watched.end(End::Stopped),
            Err(error) => {
                say(&Line::Wrong {
                    what: format!("{error:#}"),
                });
                return;
            }
        }
    }
}

enum Step {
    Done,
    /// By the fence.
    Stopped,
}

async fn step(context: &Context, call: &Call, id: u64, fence: u64) -> Result<Step> {
    let key = name(call.key);
    let holder = format!("{}:{id}", std::process::id());
    let mut resource = context.resource.clone();
    let Some(value) = resource.read(&key, fence, &holder).await? else {
        return Ok(Step::Stopped);
    };
    if call.pace.blocking {
        thread::sleep(call.pace.thinking);
    } else {
        tokio::time::sleep(call.pace.thinking).await;
    }
    Ok(match resource.write(&key, fence, value).await? {
        Some(_) => Step::Done,
        None => Step::Stopped,
    })
}
