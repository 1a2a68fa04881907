//! Holding a lock, and telling the observer from the first moment to the last.

use std::time::Duration;

use fastrand::Rng;
use lock_runtime::Lease;
use tokio::task::AbortHandle;

use super::Context;
use crate::observer::HoldId;
use crate::plan::millis;

/// A hold as the observer knows it. Dropped, it is given up; so it must be dropped before the lock is.
pub(super) struct Held<'a> {
    context: &'a Context,
    id: HoldId,
    lease: Lease,
    /// Waits for the loss.
    watcher: AbortHandle,
}

impl<'a> Held<'a> {
    pub(super) fn new(context: &'a Context, lease: &Lease, asked: Duration) -> Self {
        let id = context
            .observer()
            .granted(context.machine, lease, asked, context.clock.now());
        let (watched, told) = (lease.clone(), context.clone());
        let watcher = tokio::spawn(async move {
            let reason = watched.lost().await;
            let now = told.clock.now();
            told.observer().lost(id, reason, now);
        });
        Self {
            context,
            id,
            lease: lease.clone(),
            watcher: watcher.abort_handle(),
        }
    }

    pub(super) fn id(&self) -> HoldId {
        self.id
    }

    /// Writes now and then to what the lock protects. Some look before, as they should; the fence stops the others.
    pub(super) async fn work(&self, rng: &mut Rng) {
        let longest = u64::try_from(self.context.plan.longest().as_millis()).unwrap_or(1_000);
        let length = match rng.u32(..5) {
            0 => Duration::ZERO,
            1 => millis(rng.u64(..longest * 3)),
            _ => millis(rng.u64(..longest)),
        };
        let looks = rng.bool();
        let end = self.context.clock.now() + length;
        loop {
            let now = self.context.clock.now();
            if now >= end {
                return;
            }
            tokio::time::sleep(millis(rng.u64(1..60)).min(end - now)).await;
            if looks && !self.lease.is_held() {
                return;
            }
            let now = self.context.clock.now();
            self.context.observer().write(self.id, looks, now);
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.watcher.abort();
        let clock = self.context.clock;
        self.context.observer().ended(self.id, || clock.now());
    }
}
