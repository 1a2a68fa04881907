//! A hold as the parent hears of it: until when its lease was claimed, and how soon its body ended after a loss.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lock_runtime::{Lease, LockError, LostReason};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::calls::Call;
use super::say;
use crate::clock;
use crate::protocol::Line;

/// How often the deadline of a lease is looked at: a process that stands still past it cannot look any more.
const LOOK: Duration = Duration::from_millis(25);

/// How a body ended by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Finished,
    /// The counter refused its fence.
    Stopped,
}

/// Lives in a body; its drop is the body's end.
pub(super) struct Watched {
    id: u64,
    lease: Lease,
    end: End,
    seen: Arc<Seen>,
    watch: JoinHandle<()>,
}

/// What is known of a lease from outside of its body.
#[derive(Default)]
struct Seen {
    /// The deadline, when it was last looked at.
    deadline: AtomicU64,
    /// When the loss was told; 0: it was not.
    lost: AtomicU64,
}

impl Seen {
    fn look(&self, lease: &Lease) {
        let now = clock::now();
        let remaining = u64::try_from(lease.remaining().as_nanos()).unwrap_or_default();
        if remaining > 0 {
            self.deadline.store(now + remaining, Ordering::SeqCst);
        }
    }
}

impl Watched {
    /// The body begins now.
    pub(super) fn begin(id: u64, call: &Call, lease: Lease, watchers: &Handle) -> Watched {
        let granted = clock::now();
        say(&Line::Got {
            id,
            key: usize::try_from(call.key).unwrap_or_default(),
            fence: lease.fence().get(),
            asked: call.asked,
            granted,
        });
        let seen = Arc::new(Seen::default());
        seen.deadline.store(granted, Ordering::SeqCst);
        seen.look(&lease);
        let watch = watchers.spawn(watch(lease.clone(), Arc::clone(&seen)));
        Watched {
            id,
            lease,
            end: End::Finished,
            seen,
            watch,
        }
    }

    /// The body ends now, in this way.
    pub(super) fn end(mut self, end: End) {
        self.end = end;
    }
}

async fn watch(lease: Lease, seen: Arc<Seen>) {
    loop {
        tokio::select! {
            biased;
            _ = lease.lost() => {
                seen.lost.store(clock::now(), Ordering::SeqCst);
                return;
            }
            () = tokio::time::sleep(LOOK) => seen.look(&lease),
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let now = clock::now();
        self.watch.abort();
        let id = self.id;
        say(&match self.lease.ensure_held() {
            Err(LockError::Lost { reason, .. }) => {
                // The body may be quicker than the watch.
                let told = match self.seen.lost.load(Ordering::SeqCst) {
                    0 => now,
                    told => told.min(now),
                };
                let until = match reason {
                    LostReason::Expired => told.min(self.seen.deadline.load(Ordering::SeqCst)),
                    _ => told,
                };
                Line::Lost {
                    id,
                    until,
                    at: now,
                    cause: format!("{reason:?}"),
                }
            }
            Ok(()) | Err(_) => Line::Ended {
                id,
                at: now,
                stopped: self.end == End::Stopped,
            },
        });
    }
}
