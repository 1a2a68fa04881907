//! Section 5: fences only grow over the holders of a key, and are one number for one hold.

use std::collections::HashSet;

use lock_runtime::{Fence, LockError, LockManager, distributed_lock};
use lock_tests::{Fixture, each_backend, eventually};

use crate::support::{SOON, free_soon, lease_here, ms, soon};

#[distributed_lock(key = "job", manager = locks)]
async fn fence(locks: &LockManager) -> Result<Fence, LockError> {
    Ok(lease_here().fence())
}

fn assert_grows(fences: &[Fence]) {
    assert!(fences.windows(2).all(|pair| pair[0] < pair[1]), "{fences:?}");
}

#[tokio::test]
async fn fences_grow_with_every_hold_of_a_key_by_whatever_manager() {
    each_backend(async |fixture: Fixture| {
        let mut fences = Vec::new();
        for _ in 0..20 {
            fences.push(fence(fixture.manager()).await.unwrap());
            fences.push(fence(fixture.another_manager()).await.unwrap());
            let guard = fixture.manager().lock("job").acquire().await.unwrap();
            fences.push(guard.fence());
            guard.release().await.unwrap();
        }
        assert_grows(&fences);
    })
    .await;
}

#[tokio::test]
async fn fences_grow_after_an_expiry_and_after_an_operator_freed_the_lock() {
    each_backend(async |fixture: Fixture| {
        let first = fixture
            .manager()
            .lock("job")
            .ttl(ms(200))
            .never_renew()
            .acquire()
            .await
            .unwrap();
        let second = fixture
            .another_manager()
            .lock("job")
            .wait(SOON)
            .acquire()
            .await
            .unwrap();
        assert!(fixture.manager().force_release("job").await.unwrap());
        let third = fixture.manager().lock("job").acquire().await.unwrap();
        assert_grows(&[first.fence(), second.fence(), third.fence()]);
    })
    .await;
}

#[tokio::test]
async fn a_fence_is_not_changed_by_a_renewal() {
    each_backend(async |fixture: Fixture| {
        let lock = fixture.manager().lock("job").ttl(ms(10_000)).renew_every(ms(50));
        let guard = lock.acquire().await.unwrap();
        let (fence, mut before, mut renewals) = (guard.fence(), guard.lease().remaining(), 0);
        let renewed_thrice = eventually("three renewals", SOON, async || {
            let now = guard.lease().remaining();
            renewals += u32::from(now > before);
            before = now;
            assert_eq!(guard.lease().fence(), fence);
            renewals >= 3
        });
        renewed_thrice.await;
        assert_eq!(guard.fence(), fence);
    })
    .await;
}

#[tokio::test]
async fn the_guard_its_lease_and_the_body_have_one_fence() {
    each_backend(async |fixture: Fixture| {
        let guard = fixture.manager().lock("job").acquire().await.unwrap();
        assert_eq!(guard.fence(), guard.lease().fence());
        assert_eq!(guard.lease().clone().fence(), guard.fence());
    })
    .await;
}

#[tokio::test]
async fn a_fence_is_a_plain_ordered_number() {
    let (low, high) = (Fence::from(7), Fence::from(1_000));
    assert!(low < high);
    assert_eq!(low.max(high), high);
    assert_eq!(high.get(), 1_000);
    assert_eq!(u64::from(high), 1_000);
    assert_eq!(high.to_string(), "1000");
    assert_eq!(Fence::from(u64::MAX).to_string(), "18446744073709551615");
    assert_eq!(HashSet::from([low, low, high]).len(), 2);
    assert_eq!(format!("{high:>6}").trim(), "1000");
}

#[tokio::test]
async fn a_fence_fits_a_signed_database_column() {
    each_backend(async |fixture: Fixture| {
        let fence = fence(fixture.manager()).await.unwrap();
        assert!(i64::try_from(fence.get()).is_ok(), "{fence}");
    })
    .await;
}

#[tokio::test]
async fn fences_grow_across_flushall() {
    let fixture = Fixture::redis().await;
    let mut fences = Vec::new();
    for _ in 0..5 {
        for _ in 0..3 {
            fences.push(fence(fixture.manager()).await.unwrap());
        }
        fixture.server().unwrap().cli(&["FLUSHALL"]);
    }
    assert_grows(&fences);
}

#[tokio::test]
async fn fences_grow_across_a_flush_under_a_held_lock() {
    let fixture = Fixture::redis().await;
    let first = fixture.manager().lock("job").acquire().await.unwrap();
    fixture.server().unwrap().cli(&["FLUSHALL"]);
    let second = fixture.another_manager().lock("job").acquire().await.unwrap();
    assert_grows(&[first.fence(), second.fence()]);
}

#[tokio::test]
async fn fences_grow_across_a_script_flush() {
    let fixture = Fixture::redis().await;
    let first = fence(fixture.manager()).await.unwrap();
    fixture.server().unwrap().cli(&["SCRIPT", "FLUSH"]);
    let second = fence(fixture.manager()).await.unwrap();
    assert_grows(&[first, second]);
}

/// Takes the lock as soon as the server is back.
async fn fence_again(locks: &LockManager) -> Fence {
    let mut last = None;
    eventually("the manager has reconnected", SOON * 3, async || {
        last = fence(locks).await.ok();
        last.is_some()
    })
    .await;
    last.unwrap()
}

#[tokio::test]
async fn fences_grow_across_a_restart_without_persistence() {
    let mut server = lock_tests::RedisServer::start();
    let locks = LockManager::connect(&server.url()).await.unwrap();
    let mut fences = Vec::new();
    for _ in 0..2 {
        fences.push(fence_again(&locks).await);
        fences.push(fence_again(&locks).await);
        server.restart();
    }
    fences.push(fence_again(&locks).await);
    assert_grows(&fences);
}

#[tokio::test]
async fn the_number_of_helper_keys_does_not_grow_with_the_number_of_locks() {
    let fixture = Fixture::redis().await;
    let (locks, server) = (fixture.manager(), fixture.server().unwrap());
    locks.lock("first").acquire().await.unwrap().release().await.unwrap();
    let after_one = server.keys();
    assert!(after_one.len() <= 2, "{after_one:?}");
    for number in 0..300 {
        let guard = locks.lock(format!("order:{number}")).acquire().await.unwrap();
        guard.release().await.unwrap();
    }
    assert_eq!(server.keys(), after_one);
}

#[tokio::test]
async fn fences_grow_when_many_tasks_take_turns() {
    #[distributed_lock(key = "job", on_conflict = "retry", wait = "60s", manager = locks)]
    async fn note(locks: LockManager, notes: std::sync::Arc<std::sync::Mutex<Vec<Fence>>>) -> Result<(), LockError> {
        notes.lock().unwrap().push(lease_here().fence());
        Ok(())
    }
    each_backend(async |fixture: Fixture| {
        let notes = std::sync::Arc::default();
        let tasks: Vec<_> = (0..10)
            .map(|number| {
                let locks = [fixture.manager(), fixture.another_manager()][number % 2];
                tokio::spawn(note(locks.clone(), std::sync::Arc::clone(&notes)))
            })
            .collect();
        for task in tasks {
            soon("its turn comes", task).await.unwrap().unwrap();
        }
        free_soon(fixture.manager(), "job").await;
        assert_eq!(notes.lock().unwrap().len(), 10);
        assert_grows(&notes.lock().unwrap());
    })
    .await;
}
