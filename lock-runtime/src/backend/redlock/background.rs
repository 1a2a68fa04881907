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

    /// How many are under way.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.tasks.len()
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::time::Instant;

    use super::*;

    fn counting(count: &Arc<AtomicUsize>, after: Duration) -> BoxFuture<'static, ()> {
        let count = Arc::clone(count);
        Box::pin(async move {
            if !after.is_zero() {
                sleep(after).await;
            }
            count.fetch_add(1, Ordering::SeqCst);
        })
    }

    #[tokio::test(start_paused = true)]
    async fn what_can_wait_is_started_soon_and_waited_for() {
        let (background, count) = (Background::default(), Arc::default());
        let began = Instant::now();
        for after in [Duration::ZERO, Duration::from_secs(3), Duration::ZERO] {
            background.spawn_soon([counting(&count, after)], &Handle::current());
        }
        tokio::task::yield_now().await;
        assert_eq!(count.load(Ordering::SeqCst), 0);
        sleep(SOON * 2).await;
        assert_eq!(count.load(Ordering::SeqCst), 2);
        background.close();
        background.wait().await;
        assert_eq!(count.load(Ordering::SeqCst), 3);
        assert_eq!(began.elapsed(), SOON + Duration::from_secs(3));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_it_makes_it_start_at_once() {
        let (background, count) = (Background::default(), Arc::default());
        for hurry in [Background::hurry, Background::close, Background::last_call] {
            let began = Instant::now();
            background.spawn_soon([counting(&count, Duration::ZERO)], &Handle::current());
            hurry(&background);
            while count.swap(0, Ordering::SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
            assert_eq!(began.elapsed(), Duration::ZERO);
        }
    }

    #[test]
    fn nothing_is_kept_for_a_runtime_that_has_ended() {
        let build = || {
            tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .unwrap()
        };
        let (background, count) = (Background::default(), Arc::<AtomicUsize>::default());
        let runtime = build();
        // Both where it ends before somebody has come, and before somebody could be sent.
        background.spawn_soon([counting(&count, Duration::ZERO)], runtime.handle());
        let ended = runtime.handle().clone();
        drop(runtime);
        background.spawn_soon([counting(&count, Duration::ZERO)], &ended);
        assert_eq!(Arc::strong_count(&count), 1);
        let another = build();
        background.spawn_soon([counting(&count, Duration::ZERO)], another.handle());
        background.close();
        another.block_on(background.wait());
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }
}
