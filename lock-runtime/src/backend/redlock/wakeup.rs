//! Waking up when a majority of servers says that a lock is free.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::timeout;

use super::super::{BoxFuture, Wakeup};

/// How long after the first server the others have: a try that is too early meets the rest of the old hold.
const GATHER: Duration = Duration::from_millis(5);

pub(super) struct MajorityWakeup {
    wakeups: Vec<Box<dyn Wakeup>>,
    quorum: usize,
}

impl MajorityWakeup {
    pub(super) fn new(wakeups: Vec<Box<dyn Wakeup>>, quorum: usize) -> Self {
        Self { wakeups, quorum }
    }
}

impl Wakeup for MajorityWakeup {
    #[cfg(any(feature = "queue", test))]
    fn armed(&mut self) -> BoxFuture<'_, ()> {
        let quorum = self.quorum;
        let mut armed: FuturesUnordered<_> = self.wakeups.iter_mut().map(|wakeup| wakeup.armed()).collect();
        Box::pin(async move {
            for _ in 0..quorum {
                armed.next().await;
            }
        })
    }

    fn woken(&mut self) -> BoxFuture<'_, ()> {
        let quorum = self.quorum;
        let mut woken: FuturesUnordered<_> = self.wakeups.iter_mut().map(|wakeup| wakeup.woken()).collect();
        Box::pin(async move {
            woken.next().await;
            let others = async {
                for _ in 1..quorum {
                    woken.next().await;
                }
            };
            // Without them, the try finds out.
            drop(timeout(GATHER, others).await);
        })
    }
}
