//! The calls of one task: under the attribute, with a body, with a guard; patient ones, others that give up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastrand::Rng;
use lock_runtime::{LockError, current, distributed_lock};

use super::body::{Pace, hold};
use super::{Context, HOT, MANY, TTL, name, say};
use crate::clock;
use crate::protocol::Line;

/// What one call is about.
pub(super) struct Call {
    pub(super) key: u64,
    pub(super) pace: Pace,
    /// The moment before the call.
    pub(super) asked: u64,
    /// The body has begun: from there on it tells its own end.
    pub(super) started: AtomicBool,
}

/// Calls until the process is to end.
pub(super) async fn until_the_end(context: Arc<Context>, mut random: Rng) {
    while !context.end.load(Ordering::SeqCst) {
        let key = if random.bool() {
            random.u64(..HOT)
        } else {
            HOT + random.u64(..MANY)
        };
        let call = Call {
            key,
            pace: Pace::drawn(key, &mut random),
            asked: clock::now(),
            started: AtomicBool::new(false),
        };
        let wait = Duration::from_millis(if random.bool() { 0 } else { random.u64(200..2000) });
        let style = random.u8(..4);
        let calling = async {
            match style {
                0 if call.key < HOT => annotated(&context, &call, call.key).await,
                0 | 1 => with_a_body(&context, &call, wait).await,
                _ => with_a_guard(&context, &call, wait).await,
            }
        };
        if random.u8(..50) == 0 {
            // Somebody who gives up, before the answer or in the middle of the body.
            let patience = Duration::from_millis(random.u64(..12));
            match tokio::time::timeout(patience, calling).await {
                Ok(result) => tell(&call, result),
                Err(_) if call.started.load(Ordering::SeqCst) => {}
                Err(_) => say(&Line::Unknown {
                    reason: "the caller gave up".to_owned(),
                }),
            }
        } else {
            tell(&call, calling.await);
        }
        tokio::time::sleep(Duration::from_millis(random.u64(2..40))).await;
    }
}

/// What the body did not tell itself.
fn tell(call: &Call, result: Result<(), LockError>) {
    let Err(error) = result else { return };
    let started = call.started.load(Ordering::SeqCst);
    let reason = error.to_string();
    say(&match error.lost_reason() {
        // The body's own end told it.
        Some(_) if started => return,
        Some(cause) => Line::LostOutside {
            cause: format!("{cause:?} before the body"),
        },
        None if error.is_conflict() => Line::Conflict,
        None if error.is_unavailable() && no_answer(&reason) => Line::Unknown { reason },
        None if error.is_unavailable() => Line::Unavailable { reason },
        None => Line::Wrong { what: reason },
    });
}

/// Whether a request was sent and nobody knows what became of it, as far as the message tells.
fn no_answer(reason: &str) -> bool {
    ["time was over", "broke", "came after"]
        .iter()
        .any(|sign| reason.contains(sign))
}

#[distributed_lock(
    key = "hot:<number>",
    ttl = "2s",
    on_conflict = "retry",
    wait = "1500ms",
    on_lost = "abort"
)]
async fn annotated(context: &Context, call: &Call, number: u64) -> Result<(), LockError> {
    body(context, call).await;
    Ok(())
}

async fn with_a_body(context: &Context, call: &Call, wait: Duration) -> Result<(), LockError> {
    let request = context.manager.lock(name(call.key)).ttl(TTL).wait(wait);
    request.run(body(context, call)).await
}

async fn with_a_guard(context: &Context, call: &Call, wait: Duration) -> Result<(), LockError> {
    let guard = context
        .manager
        .lock(name(call.key))
        .ttl(TTL)
        .wait(wait)
        .acquire()
        .await?;
    let lease = guard.lease().clone();
    tokio::select! {
        biased;
        _ = lease.lost() => {}
        () = hold(context, call, lease.clone()) => {}
    }
    let was_held = lease.is_held();
    match guard.release().await {
        // Found only now, after the body had ended well.
        Err(error) if was_held && let Some(cause) = error.lost_reason() => {
            say(&Line::LostOutside {
                cause: format!("{cause:?} at the release"),
            });
            Ok(())
        }
        Err(error) if error.is_unavailable() => {
            say(&Line::Unreleased);
            Ok(())
        }
        result => result,
    }
}

async fn body(context: &Context, call: &Call) {
    match current() {
        Some(lease) => hold(context, call, lease).await,
        None => say(&Line::Wrong {
            what: "no lease in a body".to_owned(),
        }),
    }
}
