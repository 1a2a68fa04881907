//! `hold_at_least`: the lock stays taken until then, however the body ended.

use std::time::{Duration, Instant};

use lock_runtime::{LockManager, distributed_lock};
use lock_tests::{Fixture, each_backend};

use crate::support::{BodyError, ENDS, End, Gate, SOON, end, free_soon, held, ms, run_to_end, soon};

const LEAST: Duration = ms(1200);

#[distributed_lock(key = "job:<ends>", ttl = "10s", hold_at_least = "1200ms", manager = locks)]
async fn job(locks: LockManager, gate: Gate, ends: End) -> Result<(), BodyError> {
    gate.pass().await;
    end(ends).await
}

/// Waits until the lock is free, and gives the moment when that was seen first.
async fn taken_until(fixture: &Fixture, key: &str) -> Instant {
    let next = fixture.another_manager().lock(key).wait(SOON * 3).acquire().await;
    let freed = Instant::now();
    next.expect("the lock is free in the end").release().await.unwrap();
    freed
}

#[tokio::test]
async fn the_lock_stays_taken_for_hold_at_least_however_the_body_ended() {
    each_backend(async |fixture: Fixture| {
        let one = async |ends: End| {
            let (gate, before) = (Gate::default(), Instant::now());
            run_to_end(job(fixture.manager().clone(), gate.clone(), ends), &gate, ends).await;
            let kept = taken_until(&fixture, &format!("job:{ends}"))
                .await
                .duration_since(before);
            assert!(kept >= LEAST, "{ends}: only for {kept:?}");
            assert!(
                kept < LEAST + SOON,
                "{ends}: for {kept:?}, which is more than was asked for"
            );
        };
        futures_util::future::join_all(ENDS.map(one)).await;
    })
    .await;
}

#[tokio::test]
async fn nobody_gets_the_lock_meanwhile() {
    #[distributed_lock(key = "job", ttl = "30s", hold_at_least = "20s", manager = locks)]
    async fn short(locks: &LockManager) -> Result<(), BodyError> {
        Ok(())
    }
    each_backend(async |fixture: Fixture| {
        let call = short(fixture.manager());
        let mut call = std::pin::pin!(call);
        // Whether the call itself returns at once or waits is not what is tested here.
        let _ = tokio::time::timeout(ms(500), call.as_mut()).await;
        assert!(held(fixture.another_manager(), "job").await);
        assert!(
            fixture
                .another_manager()
                .lock("job")
                .try_acquire()
                .await
                .unwrap()
                .is_none()
        );
        assert!(fixture.manager().lock("job").try_acquire().await.unwrap().is_none());
        fixture.another_manager().force_release("job").await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn hold_at_least_may_be_longer_than_the_ttl() {
    #[distributed_lock(key = "job", ttl = "3s", renew = "250ms", hold_at_least = "3600ms", manager = locks)]
    async fn short(locks: &LockManager) -> Result<(), BodyError> {
        Ok(())
    }
    each_backend(async |fixture: Fixture| {
        let before = Instant::now();
        short(fixture.manager()).await.unwrap();
        let kept = taken_until(&fixture, "job").await.duration_since(before);
        assert!(kept >= ms(3600), "only for {kept:?}");
    })
    .await;
}

#[tokio::test]
async fn hold_at_least_counts_from_the_acquisition_and_not_from_the_end_of_the_body() {
    each_backend(async |fixture: Fixture| {
        let gate = Gate::default();
        let call = tokio::spawn(job(fixture.manager().clone(), gate.clone(), End::Returns));
        gate.entered().await;
        let begun = Instant::now();
        while begun.elapsed() < LEAST {
            tokio::time::sleep(ms(10)).await;
        }
        gate.open();
        soon("the call returns", call).await.unwrap().unwrap();
        assert!(
            !held(fixture.another_manager(), "job:Returns").await,
            "its time was over already"
        );
    })
    .await;
}

#[tokio::test]
async fn a_guard_keeps_the_lock_for_hold_at_least_when_it_is_dropped() {
    each_backend(async |fixture: Fixture| {
        let before = Instant::now();
        let guard = fixture
            .manager()
            .lock("job")
            .hold_at_least(ms(800))
            .acquire()
            .await
            .unwrap();
        drop(guard);
        let kept = taken_until(&fixture, "job").await.duration_since(before);
        assert!(kept >= ms(800), "only for {kept:?}");
        assert!(kept < SOON, "for {kept:?}");
    })
    .await;
}

#[tokio::test]
async fn a_guard_keeps_the_lock_for_hold_at_least_when_it_is_released() {
    each_backend(async |fixture: Fixture| {
        let before = Instant::now();
        let guard = fixture
            .manager()
            .lock("job")
            .hold_at_least(ms(800))
            .acquire()
            .await
            .unwrap();
        guard.release().await.unwrap();
        let kept = taken_until(&fixture, "job").await.duration_since(before);
        assert!(kept >= ms(800), "only for {kept:?}");
        assert!(kept < SOON, "for {kept:?}");
    })
    .await;
}

#[tokio::test]
async fn the_manager_api_keeps_the_lock_for_hold_at_least_after_run() {
    each_backend(async |fixture: Fixture| {
        let before = Instant::now();
        let lock = fixture.manager().lock("job").ttl(ms(10_000)).hold_at_least(ms(1500));
        assert_eq!(lock.run(async { 5 }).await.unwrap(), 5);
        let kept = taken_until(&fixture, "job").await.duration_since(before);
        assert!(kept >= ms(1500), "only for {kept:?}");
    })
    .await;
}

#[tokio::test]
async fn an_operator_can_end_hold_at_least() {
    each_backend(async |fixture: Fixture| {
        let lock = fixture.manager().lock("job").ttl(ms(30_000)).hold_at_least(ms(20_000));
        drop(lock.acquire().await.unwrap());
        assert!(held(fixture.another_manager(), "job").await);
        assert!(fixture.another_manager().force_release("job").await.unwrap());
        free_soon(fixture.another_manager(), "job").await;
    })
    .await;
}

#[tokio::test]
async fn hold_at_least_counts_for_a_body_that_max_hold_ended() {
    #[distributed_lock(key = "job", ttl = "3s", max_hold = "3s", hold_at_least = "4500ms", manager = locks)]
    async fn endless(locks: &LockManager) -> Result<(), BodyError> {
        std::future::pending().await
    }
    each_backend(async |fixture: Fixture| {
        let before = Instant::now();
        let ended = soon("max_hold is over", endless(fixture.manager())).await;
        assert!(matches!(ended, Err(BodyError::Lock(error)) if error.is_lost()));
        let kept = taken_until(&fixture, "job").await.duration_since(before);
        assert!(kept >= ms(4500), "only for {kept:?}");
    })
    .await;
}
