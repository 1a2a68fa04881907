//! The ways to want a lock.

use std::time::Duration;

use fastrand::Rng;
use lock_runtime::{LockError, LockGuard, LockManager, LockRequest, LostReason, current};

use super::holding::Held;
use super::{Context, request};
use crate::plan::millis;

/// One task of a process, until the chaos is over.
pub(super) async fn work(context: Context, manager: LockManager, mut rng: Rng) {
    while context.clock.now() < context.plan.chaos {
        let request = request(&context, &manager, &mut rng);
        match rng.u32(..10) {
            0..4 => guarded(&context, request, &mut rng).await,
            4..8 => body(&context, &manager, request, &mut rng).await,
            8 => impatient(&context, request, &mut rng).await,
            _ => inspect(&context, &manager, &mut rng).await,
        }
        tokio::time::sleep(millis(rng.u64(..30))).await;
    }
}

/// With a guard.
async fn guarded(context: &Context, request: LockRequest, rng: &mut Rng) {
    let asked = context.clock.now();
    let acquired = if rng.u32(..4) == 0 {
        request.try_acquire().await
    } else {
        request.acquire().await.map(Some)
    };
    match acquired {
        Ok(Some(guard)) => keep(context, guard, asked, rng).await,
        Ok(None) => {
            context.observer().tally.conflicts += 1;
            context.note("finds it held");
        }
        Err(error) => context.failed(&error),
    }
}

/// Works under a guard, and gives it back or drops it.
async fn keep(context: &Context, guard: LockGuard, asked: Duration, rng: &mut Rng) {
    let held = Held::new(context, guard.lease(), asked);
    held.work(rng).await;
    drop(held);
    if rng.bool() {
        return drop(guard);
    }
    match guard.release().await {
        Ok(()) => context.note("has released"),
        Err(error) if error.is_lost() => context.note("had lost it"),
        Err(error) if error.is_unavailable() => context.note("releases later"),
        Err(error) => context.violation(&format!("a release: {error}")),
    }
}

/// With a body, which may enter the lock once more.
async fn body(context: &Context, manager: &LockManager, request: LockRequest, rng: &mut Rng) {
    let asked = context.clock.now();
    let keeps_on = rng.u32(..4) == 0;
    let enters = rng.u32(..3) == 0;
    let request = if keeps_on {
        request.continue_when_lost()
    } else {
        request
    };
    let mut inner = rng.fork();
    let mut hold = None;
    let noted = &mut hold;
    let ran = request.run(async move {
        let Some(lease) = current() else {
            return context.violation("a body runs without a lease");
        };
        let held = Held::new(context, &lease, asked);
        *noted = Some(held.id());
        held.work(&mut inner).await;
        if enters {
            let again = manager.lock(lease.key().clone()).reentrant().acquire().await;
            enter(context, &held, &lease, again, &mut inner).await;
        }
    });
    match (ran.await, hold) {
        (Ok(()), _) => context.note("has run"),
        (Err(LockError::Lost { reason, .. }), Some(id)) => {
            let now = context.clock.now();
            context.observer().stopped(id, reason, now);
        }
        (Err(error), None) => context.failed(&error),
        (Err(error), Some(_)) => context.violation(&format!("a body that ran: {error}")),
    }
}

/// Inside a body: the same hold, with the same fence.
async fn enter(
    context: &Context,
    held: &Held<'_>,
    lease: &lock_runtime::Lease,
    again: Result<LockGuard, LockError>,
    rng: &mut Rng,
) {
    match again {
        Ok(guard) => {
            context.observer().tally.reentered += 1;
            if guard.fence() != lease.fence() {
                context.violation("a re-entry has another fence");
            }
            held.work(rng).await;
            let released = guard.release().await;
            if released.is_ok()
                && lease
                    .ensure_held()
                    .is_err_and(|error| error.lost_reason() == Some(LostReason::Missing))
            {
                // What was ended well says so too, and then it was told to nobody.
                tokio::time::sleep(millis(2)).await;
                if !context.observer().is_over(held.id()) {
                    context.violation("the end of a re-entry ended the hold");
                }
            }
        }
        Err(error) if error.is_lost() => context.note("cannot enter again: it is lost"),
        Err(error) => context.violation(&format!("a re-entry: {error}")),
    }
}

/// Gives up half-way.
async fn impatient(context: &Context, request: LockRequest, rng: &mut Rng) {
    let asked = context.clock.now();
    let patience = millis(rng.u64(..60));
    match tokio::time::timeout(patience, request.acquire()).await {
        Ok(Ok(guard)) => keep(context, guard, asked, rng).await,
        Ok(Err(error)) => context.failed(&error),
        Err(_) => {
            context.observer().tally.abandoned += 1;
            context.note("gives up");
        }
    }
}

/// Asks who holds it.
async fn inspect(context: &Context, manager: &LockManager, rng: &mut Rng) {
    let key = super::name(rng.usize(..context.plan.keys));
    match manager.inspect(key).await {
        Ok(Some(holder)) if !holder.owner().starts_with('m') => {
            context.violation(&format!("a holder nobody knows: {}", holder.owner()));
        }
        Ok(_) => context.note("has looked"),
        Err(error) if error.is_unavailable() => context.note("cannot look"),
        Err(error) => context.violation(&format!("an inspection: {error}")),
    }
}
