//! Section 6: what is nested and what is not. Branches side by side, spawned tasks and the tasks of
//! a `LocalSet` are strangers, whatever thread polls them.

use std::sync::atomic::{AtomicU32, Ordering};

use lock_runtime::{Fence, LockError, LockManager, current, distributed_lock};
use lock_tests::{Fixture, each_backend};

use crate::support::{lease_here, ms, soon};

/// Yields often enough for every other branch to be polled in between.
async fn yield_often() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(ms(20)).await;
}

#[distributed_lock(key = "job", reentrant, manager = locks)]
async fn joins(locks: &LockManager) -> Result<Fence, LockError> {
    yield_often().await;
    Ok(lease_here().fence())
}

/// Would join a hold that surrounds it, and otherwise waits for its turn.
#[distributed_lock(key = "job", reentrant, on_conflict = "retry", wait = "60s", manager = locks)]
async fn alone(locks: &LockManager, inside: &AtomicU32) -> Result<Fence, LockError> {
    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two bodies at once");
    yield_often().await;
    inside.fetch_sub(1, Ordering::SeqCst);
    Ok(lease_here().fence())
}

#[distributed_lock(key = "job", manager = locks)]
async fn fails(locks: &LockManager) -> Result<(), LockError> {
    yield_often().await;
    Ok(())
}

#[tokio::test]
async fn branches_that_are_joined_side_by_side_are_not_nested_in_each_other() {
    each_backend(async |fixture: Fixture| {
        let (inside, locks) = (AtomicU32::new(0), fixture.manager());
        let call = || alone(locks, &inside);
        let (a, b, c) = soon("all end", async { tokio::join!(call(), call(), call()) }).await;
        let mut fences = [a.unwrap(), b.unwrap(), c.unwrap()];
        fences.sort();
        assert!(
            fences[0] < fences[1] && fences[1] < fences[2],
            "each has a hold of its own: {fences:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_branch_that_meets_another_branchs_lock_has_a_conflict_and_no_reentry() {
    each_backend(async |fixture: Fixture| {
        let (a, b) = tokio::join!(fails(fixture.manager()), fails(fixture.manager()));
        let errors: Vec<_> = [a, b].into_iter().filter_map(Result::err).collect();
        assert_eq!(errors.len(), 1, "one of two gets the lock: {errors:?}");
        assert!(errors[0].is_conflict(), "{:?}", errors[0]);
    })
    .await;
}

#[tokio::test]
async fn branches_of_a_stream_of_futures_are_not_nested_in_each_other() {
    use futures_util::stream::{FuturesUnordered, StreamExt as _};
    each_backend(async |fixture: Fixture| {
        let inside = AtomicU32::new(0);
        let calls: FuturesUnordered<_> = (0..4).map(|_| alone(fixture.manager(), &inside)).collect();
        let fences: Vec<_> = soon("all end", calls.map(Result::unwrap).collect()).await;
        assert_eq!(fences.len(), 4);
    })
    .await;
}

#[tokio::test]
async fn branches_inside_a_body_join_the_bodys_hold() {
    #[distributed_lock(key = "job", manager = locks)]
    async fn outer(locks: &LockManager) -> Result<(), LockError> {
        let (a, b) = tokio::join!(joins(locks), joins(locks));
        assert_eq!(a?, lease_here().fence());
        assert_eq!(b?, lease_here().fence());
        assert!(lease_here().is_held());
        Ok(())
    }
    each_backend(async |fixture: Fixture| outer(fixture.manager()).await.unwrap()).await;
}

#[tokio::test]
async fn branches_inside_a_body_are_not_nested_in_each_other_for_another_key() {
    #[distributed_lock(key = "outer job", manager = locks)]
    async fn outer(locks: &LockManager, inside: &AtomicU32) -> Result<(), LockError> {
        let (a, b) = tokio::join!(alone(locks, inside), alone(locks, inside));
        assert_ne!(a?, b?);
        Ok(())
    }
    each_backend(async |fixture: Fixture| {
        let inside = AtomicU32::new(0);
        soon("all end", outer(fixture.manager(), &inside)).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_branch_beside_a_body_is_not_nested_in_it() {
    each_backend(async |fixture: Fixture| {
        let locks = fixture.manager();
        let beside = async {
            let mut seen = 0;
            for _ in 0..50 {
                seen += u32::from(current().is_some());
                tokio::time::sleep(ms(1)).await;
            }
            seen
        };
        let (held, seen) = tokio::join!(joins(locks), beside);
        held.unwrap();
        assert_eq!(seen, 0, "current() was Some beside the body");
    })
    .await;
}

#[tokio::test]
async fn a_spawned_task_is_a_stranger() {
    #[distributed_lock(key = "job", manager = locks)]
    async fn outer(locks: LockManager) -> Result<(), LockError> {
        let stranger = tokio::spawn(async move { (current().is_some(), joins(&locks).await) });
        let (surrounded, refused) = stranger.await.unwrap();
        assert!(!surrounded, "current() is Some in a spawned task");
        assert!(refused.unwrap_err().is_conflict());
        Ok(())
    }
    each_backend(async |fixture: Fixture| outer(fixture.manager().clone()).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spawned_task_is_a_stranger_on_a_runtime_of_many_threads() {
    #[distributed_lock(key = "job", manager = locks)]
    async fn outer(locks: LockManager) -> Result<(), LockError> {
        for _ in 0..20 {
            let locks = locks.clone();
            let stranger = tokio::spawn(async move { (current().is_some(), joins(&locks).await) });
            let (surrounded, refused) = stranger.await.unwrap();
            assert!(!surrounded, "current() is Some in a spawned task");
            assert!(refused.unwrap_err().is_conflict());
        }
        Ok(())
    }
    each_backend(async |fixture: Fixture| outer(fixture.manager().clone()).await.unwrap()).await;
}

#[tokio::test]
async fn a_task_of_a_local_set_that_the_body_polls_is_a_stranger() {
    #[distributed_lock(key = "job", manager = locks)]
    async fn outer(locks: LockManager) -> Result<(), LockError> {
        let set = tokio::task::LocalSet::new();
        let stranger = set.spawn_local(async move { (current().is_some(), joins(&locks).await) });
        // The set's tasks are polled inside the poll of this body, on the same thread.
        let (surrounded, refused) = set.run_until(stranger).await.unwrap();
        assert!(!surrounded, "current() is Some in a task of a LocalSet");
        assert!(refused.unwrap_err().is_conflict());
        Ok(())
    }
    each_backend(async |fixture: Fixture| outer(fixture.manager().clone()).await.unwrap()).await;
}

#[tokio::test]
async fn a_task_of_a_local_set_has_its_own_nesting() {
    #[distributed_lock(key = "outer job", manager = locks)]
    async fn outer(locks: LockManager) -> Result<(), LockError> {
        let set = tokio::task::LocalSet::new();
        let task = set.spawn_local(async move {
            let body = async { (lease_here().key().to_string(), joins(&locks).await) };
            locks.lock("job").run(body).await
        });
        let (key, fence) = set.run_until(task).await.unwrap()?;
        assert_eq!(key, "job");
        fence.unwrap();
        assert_eq!(lease_here().key().to_string(), "outer job", "the body's own is back");
        Ok(())
    }
    each_backend(async |fixture: Fixture| outer(fixture.manager().clone()).await.unwrap()).await;
}

#[tokio::test]
async fn a_blocking_task_and_a_thread_are_strangers() {
    #[distributed_lock(key = "job", manager = locks)]
    async fn outer(locks: &LockManager) -> Result<(), LockError> {
        let blocking = tokio::task::spawn_blocking(|| current().is_some());
        assert!(!blocking.await.unwrap(), "current() is Some in a blocking task");
        let thread = std::thread::spawn(|| current().is_some());
        assert!(!thread.join().unwrap(), "current() is Some in another thread");
        Ok(())
    }
    each_backend(async |fixture: Fixture| outer(fixture.manager()).await.unwrap()).await;
}

#[tokio::test]
async fn another_caller_of_the_manager_is_a_stranger() {
    each_backend(async |fixture: Fixture| {
        let guard = fixture.manager().lock("job").acquire().await.unwrap();
        // A guard surrounds nothing: the caller of the next line is as strange as any other.
        assert!(joins(fixture.manager()).await.unwrap_err().is_conflict());
        guard.release().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn another_manager_on_the_same_locks_is_a_stranger() {
    #[distributed_lock(key = "job", manager = locks)]
    async fn outer(locks: &LockManager, others: &LockManager) -> Result<(), LockError> {
        assert!(joins(others).await.unwrap_err().is_conflict());
        Ok(())
    }
    each_backend(async |fixture: Fixture| {
        outer(fixture.manager(), fixture.another_manager()).await.unwrap();
    })
    .await;
}
