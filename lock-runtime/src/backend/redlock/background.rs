//! What goes on after its caller has the answer.

use std::any::Any;
use std::future::Future;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Starts tasks that outlive who asked for them: also the last manager, whose thread they run on.
#[derive(Clone, Default)]
pub(super) struct Background {
    tasks: TaskTracker,
    /// What clears up does so once more, and ends.
    last_call: CancellationToken,
    /// What keeps the runtime alive that the tasks run on.
    runtime: Arc<OnceLock<Weak<dyn Any + Send + Sync>>>,
}

impl Background {
    pub(super) fn runs_on(&self, runtime: Weak<dyn Any + Send + Sync>) {
        // The first one stays: a simulated manager has several, and none of them ends early.
        drop(self.runtime.set(runtime));
    }

    /// Call it on the runtime.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let runtime = self.runtime.get().and_then(Weak::upgrade);
        self.tasks.spawn(async move {
            task.await;
            drop(runtime);
        });
    }

    /// Somebody waits for the end.
    pub(super) fn close(&self) {
        self.tasks.close();
    }

    /// From now on tasks end as soon as they can.
    pub(super) fn last_call(&self) {
        self.last_call.cancel();
    }

    pub(super) fn is_last_call(&self) -> bool {
        self.last_call.is_cancelled()
    }

    /// Waits so long, but not beyond the last call.
    pub(super) async fn pause(&self, length: Duration) {
        tokio::select! {
            biased;
            () = self.last_call.cancelled() => {}
            () = sleep(length) => {}
        }
    }

    /// Resolves when it is closed and nothing is under way.
    pub(super) async fn wait(&self) {
        self.tasks.wait().await;
    }
}
