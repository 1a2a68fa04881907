//! What goes on after its caller has the answer.

use std::any::Any;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::unconstrained;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::super::BoxFuture;

/// How long it may take until what can wait is looked at.
const SOON: Duration = Duration::from_millis(20);

/// Starts tasks that outlive who asked for them: also the last manager, whose thread they run on.
#[derive(Clone, Default)]
pub(super) struct Background {
    tasks: TaskTracker,
    /// What clears up does so once more, and ends.
    last_call: CancellationToken,
    /// What keeps the runtime alive that the tasks run on.
    runtime: Arc<OnceLock<Weak<dyn Any + Send + Sync>>>,
    soon: Arc<Soon>,
}

/// What can wait a little. Most of it is over by then, and to start a task of another thread for each would cost more
/// than all the rest of a call.
#[derive(Default)]
struct Soon {
    /// A std mutex, held for a push or to take all.
    waiting: Mutex<Waiting>,
    /// There is no time left.
    hurry: Notify,
}

#[derive(Default)]
struct Waiting {
    tasks: Vec<BoxFuture<'static, ()>>,
    /// There is a task that comes for them.
    is_awaited: bool,
}

impl Background {
    pub(super) fn runs_on(&self, runtime: Weak<dyn Any + Send + Sync>) {
        // The first one stays: a simulated manager has several, and none of them ends early.
        drop(self.runtime.set(runtime));
    }

    /// Call it on the runtime.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.spawn_on(task, &Handle::current());
    }

    /// Call it anywhere.
    pub(super) fn spawn_on(&self, task: impl Future<Output = ()> + Send + 'static, runtime: &Handle) {
        let alive = self.runtime.get().and_then(Weak::upgrade);
        let task = async move {
            task.await;
            drop(alive);
        };
        self.tasks.spawn_on(task, runtime);
    }

    /// Starts these tasks soon. Call it anywhere.
    pub(super) fn spawn_soon(&self, tasks: impl IntoIterator<Item = BoxFuture<'static, ()>>, runtime: &Handle) {
        let mut waiting = self.soon.waiting();
        waiting.tasks.extend(tasks);
        if waiting.tasks.is_empty() || std::mem::replace(&mut waiting.is_awaited, true) {
            return;
        }
        drop(waiting);
        let come = Come {
            background: self.clone(),
            is_over: false,
        };
        self.spawn_on(async move { come.for_all().await }, runtime);
    }

    /// Somebody waits for what can otherwise wait.
    pub(super) fn hurry(&self) {
        self.soon.hurry.notify_one();
    }

    /// Somebody waits for the end.
    pub(super) fn close(&self) {
        self.tasks.close();
        self.hurry();
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

impl Soon {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Comes for what waits, until a time in which nothing came.
struct Come {
    background: Background,
    is_over: bool,
}

impl Come {
    async fn for_all(mut self) {
        let background = &self.background;
        loop {
            tokio::select! {
                biased;
                () = background.soon.hurry.notified() => {}
                () = background.pause(SOON) => {}
            }
            let tasks = {
                let mut waiting = background.soon.waiting();
                waiting.is_awaited = !waiting.tasks.is_empty();
                std::mem::take(&mut waiting.tasks)
            };
            if tasks.is_empty() {
                break;
            }
            // Not held up by what tokio lets one task do in one go: each of these is one of its own.
            unconstrained(async {
                for mut task in tasks {
                    if task.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
                        background.spawn(task);
                    }
                }
            })
            .await;
        }
        self.is_over = true;
    }
}

impl Drop for Come {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        // The runtime has ended, and nothing can go on.
        let mut waiting = self.background.soon.waiting();
        let tasks = std::mem::take(&mut waiting.tasks);
        waiting.is_awaited = false;
        drop(waiting);
        drop(tasks);
    }
}
