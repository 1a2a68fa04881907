//! Section 6: a nested call for a key that the surrounding body already holds.

use std::time::Instant;

use lock_runtime::{Fence, LockError, LockManager, distributed_lock};
use lock_tests::{Fixture, each_backend};

use crate::redis_layout::Commands;
use crate::support::{Count, SOON, free_soon, held, lease_here, ms, soon};

#[distributed_lock(key = "job", manager = locks)]
async fn fails(locks: &LockManager, ran: &Count) -> Result<(), LockError> {
    ran.add();
    Ok(())
}

#[distributed_lock(key = "job", on_conflict = "retry", wait = "60s", manager = locks)]
async fn retries(locks: &LockManager, ran: &Count) -> Result<(), LockError> {
    ran.add();
    Ok(())
}

#[distributed_lock(key = "job", on_conflict = "skip", manager = locks)]
async fn skips(locks: &LockManager, ran: &Count) -> Result<(), LockError> {
    ran.add();
    Ok(())
}

#[distributed_lock(key = "job", reentrant, manager = locks)]
async fn joins(locks: &LockManager) -> Result<Fence, LockError> {
    Ok(lease_here().fence())
}

fn assert_reentered(error: &LockError) {
    assert!(error.is_reentered(), "{error:?}");
    assert!(matches!(error, LockError::Reentered { .. }), "{error:?}");
    assert!(
        !error.is_conflict() && !error.is_unavailable() && !error.is_lost(),
        "{error:?}"
    );
    assert_eq!(error.key().unwrap().as_str(), "job");
}

#[tokio::test]
async fn without_reentrant_a_nested_call_is_refused_at_once_under_every_policy() {
    #[distributed_lock(key = "job", manager = locks)]
    async fn outer(locks: &LockManager, ran: &Count) -> Result<(), LockError> {
        let begun = Instant::now();
        assert_reentered(&fails(locks, ran).await.unwrap_err());
        assert_reentered(&retries(locks, ran).await.unwrap_err());
        assert_reentered(&skips(locks, ran).await.unwrap_err());
        assert!(begun.elapsed() < SOON);
        Ok(())
    }
    each_backend(async |fixture: Fixture| {
        let ran = Count::default();
        outer(fixture.manager(), &ran).await.unwrap();
        assert_eq!(ran.get(), 0, "no nested body ran");
        assert!(!held(fixture.another_manager(), "job").await);
    })
    .await;
}

#[tokio::test]
async fn without_reentrant_the_manager_api_refuses_a_nested_call_too() {
    each_backend(async |fixture: Fixture| {
        let locks = fixture.manager();
        let body = async {
            let nested = || locks.lock("job").wait(ms(60_000));
            assert_reentered(&soon("a refusal", nested().acquire()).await.unwrap_err());
            assert_reentered(&soon("a refusal", nested().try_acquire()).await.unwrap_err());
            assert_reentered(&soon("a refusal", nested().run(async {})).await.unwrap_err());
        };
        locks.lock("job").run(body).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_refused_nested_call_does_not_harm_the_surrounding_hold() {
    #[distributed_lock(key = "job", manager = locks)]
    async fn outer(locks: &LockManager, others: &LockManager) -> Result<(), LockError> {
        fails(locks, &Count::default()).await.unwrap_err();
        assert!(lease_here().is_held());
        assert!(held(others, "job").await);
        Ok(())
    }
    each_backend(async |fixture: Fixture| {
        outer(fixture.manager(), fixture.another_manager()).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_nested_call_for_another_key_is_no_reentry() {
    #[distributed_lock(key = "another job", manager = locks)]
    async fn outer(locks: &LockManager, ran: &Count) -> Result<(), LockError> {
        fails(locks, ran).await
    }
    each_backend(async |fixture: Fixture| {
        let ran = Count::default();
        outer(fixture.manager(), &ran).await.unwrap();
        assert_eq!(ran.get(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_nested_call_two_levels_deeper_is_seen_too() {
    #[distributed_lock(key = "between", manager = locks)]
    async fn between(locks: &LockManager) -> Result<(), LockError> {
        fails(locks, &Count::default()).await
    }
    #[distributed_lock(key = "job", manager = locks)]
    async fn outer(locks: &LockManager) -> Result<(), LockError> {
        between(locks).await
    }
    each_backend(async |fixture: Fixture| {
        assert_reentered(&outer(fixture.manager()).await.unwrap_err());
    })
    .await;
}

#[tokio::test]
async fn the_same_key_in_another_namespace_is_no_reentry() {
    #[distributed_lock(key = "job", manager = locks)]
    async fn outer(locks: &LockManager, elsewhere: &LockManager, ran: &Count) -> Result<(), LockError> {
        fails(elsewhere, ran).await
    }
    each_backend(async |fixture: Fixture| {
        let elsewhere = fixture.builder().namespace("elsewhere:").connect().await.unwrap();
        let ran = Count::default();
        outer(fixture.manager(), &elsewhere, &ran).await.unwrap();
        assert_eq!(ran.get(), 1);
    })
    .await;
}

#[tokio::test]
async fn with_reentrant_a_nested_call_has_the_same_lease_and_fence() {
    #[distributed_lock(key = "job", manager = locks)]
    async fn outer(locks: &LockManager) -> Result<(Fence, Fence), LockError> {
        Ok((lease_here().fence(), joins(locks).await?))
    }
    each_backend(async |fixture: Fixture| {
        let (outer_fence, inner_fence) = outer(fixture.manager()).await.unwrap();
        assert_eq!(outer_fence, inner_fence);
    })
    .await;
}

#[tokio::test]
async fn with_reentrant_a_function_may_call_itself() {
    #[distributed_lock(key = "job", reentrant, manager = locks)]
    async fn down(locks: &LockManager, levels: u32) -> Result<Vec<Fence>, LockError> {
        let mut fences = vec![lease_here().fence()];
        if levels > 0 {
            fences.extend(Box::pin(down(locks, levels - 1)).await?);
        }
        Ok(fences)
    }
    each_backend(async |fixture: Fixture| {
        let fences = down(fixture.manager(), 4).await.unwrap();
        assert_eq!(fences, [fences[0]; 5]);
        assert!(!held(fixture.another_manager(), "job").await);
    })
    .await;
}

#[tokio::test]
async fn with_reentrant_a_call_that_is_not_nested_takes_the_lock_as_usual() {
    each_backend(async |fixture: Fixture| {
        joins(fixture.manager()).await.unwrap();
        let _held = fixture.another_manager().lock("job").acquire().await.unwrap();
        assert!(joins(fixture.manager()).await.unwrap_err().is_conflict());
    })
    .await;
}

#[tokio::test]
async fn only_the_outermost_end_releases() {
    #[distributed_lock(key = "job", manager = locks)]
    async fn outer(locks: &LockManager, others: &LockManager) -> Result<(), LockError> {
        for _ in 0..3 {
            joins(locks).await?;
            assert!(lease_here().is_held());
            assert!(held(others, "job").await, "the nested call released the lock");
        }
        Ok(())
    }
    each_backend(async |fixture: Fixture| {
        outer(fixture.manager(), fixture.another_manager()).await.unwrap();
        assert!(!held(fixture.another_manager(), "job").await);
    })
    .await;
}

#[tokio::test]
async fn a_nested_call_that_fails_or_is_dropped_does_not_release() {
    #[distributed_lock(key = "job", reentrant, manager = locks)]
    async fn breaks(locks: &LockManager, hangs: bool) -> Result<(), Box<dyn std::error::Error>> {
        if hangs {
            std::future::pending::<()>().await;
        }
        Err("broken".into())
    }
    #[distributed_lock(key = "job", manager = locks)]
    async fn outer(locks: &LockManager, others: &LockManager) -> Result<(), LockError> {
        assert_eq!(breaks(locks, false).await.unwrap_err().to_string(), "broken");
        assert!(held(others, "job").await, "a nested error released the lock");
        assert!(tokio::time::timeout(ms(50), breaks(locks, true)).await.is_err());
        assert!(held(others, "job").await, "a dropped nested call released the lock");
        assert!(lease_here().is_held());
        Ok(())
    }
    each_backend(async |fixture: Fixture| {
        outer(fixture.manager(), fixture.another_manager()).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_nested_hold_has_no_options_of_its_own() {
    #[distributed_lock(key = "job", reentrant, ttl = "200ms", renew = false, manager = locks)]
    async fn short(locks: &LockManager) -> Result<(), LockError> {
        let begun = Instant::now();
        while begun.elapsed() < ms(400) {
            tokio::time::sleep(ms(10)).await;
        }
        assert!(lease_here().is_held());
        assert!(lease_here().remaining() > ms(1000));
        Ok(())
    }
    #[distributed_lock(key = "job", ttl = "30s", manager = locks)]
    async fn outer(locks: &LockManager) -> Result<(), LockError> {
        short(locks).await
    }
    each_backend(async |fixture: Fixture| outer(fixture.manager()).await.unwrap()).await;
}

#[tokio::test]
async fn a_nested_call_makes_no_traffic() {
    #[distributed_lock(key = "job", ttl = "60s", manager = locks)]
    async fn outer(locks: &LockManager, commands: &Commands<'_>) -> Result<Vec<String>, LockError> {
        commands.forget();
        for _ in 0..20 {
            joins(locks).await?;
            locks.lock("job").reentrant().run(async {}).await?;
            locks.lock("job").reentrant().acquire().await?.release().await?;
            drop(locks.lock("job").reentrant().acquire().await?);
            fails(locks, &Count::default()).await.unwrap_err();
        }
        Ok(commands.seen())
    }
    let fixture = Fixture::redis().await;
    let commands = Commands::watch(fixture.server().unwrap());
    joins(fixture.manager()).await.unwrap();
    assert_eq!(outer(fixture.manager(), &commands).await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_nested_guard_joins_the_hold_and_does_not_release_it() {
    each_backend(async |fixture: Fixture| {
        let (locks, others) = (fixture.manager(), fixture.another_manager());
        let body = async {
            let outer = lease_here().fence();
            let guard = locks.lock("job").reentrant().acquire().await.unwrap();
            assert_eq!(guard.fence(), outer);
            guard.release().await.unwrap();
            assert!(
                held(others, "job").await,
                "the release of a nested guard freed the lock"
            );
            let guard = locks.lock("job").reentrant().try_acquire().await.unwrap().unwrap();
            assert_eq!(guard.fence(), outer);
            drop(guard);
            assert!(held(others, "job").await, "the drop of a nested guard freed the lock");
            assert!(lease_here().is_held());
        };
        locks.lock("job").run(body).await.unwrap();
        free_soon(others, "job").await;
    })
    .await;
}

#[tokio::test]
async fn a_loss_ends_every_level_and_is_seen_by_the_outermost() {
    #[distributed_lock(key = "job", reentrant, manager = locks)]
    async fn inner(locks: &LockManager) -> Result<(), LockError> {
        std::future::pending().await
    }
    #[distributed_lock(key = "job", ttl = "300ms", renew = false, manager = locks)]
    async fn outer(locks: &LockManager) -> Result<(), LockError> {
        inner(locks).await
    }
    each_backend(async |fixture: Fixture| {
        let error = soon("a loss", outer(fixture.manager())).await.unwrap_err();
        assert!(error.is_lost(), "{error:?}");
        assert_eq!(error.key().unwrap().as_str(), "job");
    })
    .await;
}

#[tokio::test]
async fn a_nested_call_cannot_join_a_hold_that_is_lost() {
    #[distributed_lock(key = "job", ttl = "20s", renew = "100ms", on_lost = "continue", manager = locks)]
    async fn outer(locks: &LockManager, others: &LockManager) -> Result<(), LockError> {
        assert!(others.force_release("job").await?);
        soon("the loss is noticed", lease_here().lost()).await;
        let error = joins(locks).await.unwrap_err();
        assert!(error.is_lost(), "{error:?}");
        assert_eq!(error.key().unwrap().as_str(), "job");
        Ok(())
    }
    each_backend(async |fixture: Fixture| {
        outer(fixture.manager(), fixture.another_manager()).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_nested_guard_cannot_join_a_hold_that_is_lost() {
    each_backend(async |fixture: Fixture| {
        let (locks, others) = (fixture.manager(), fixture.another_manager());
        let outer = locks.lock("job").ttl(ms(20_000)).renew_every(ms(100));
        let body = async {
            assert!(others.force_release("job").await.unwrap());
            soon("the loss is noticed", lease_here().lost()).await;
            locks.lock("job").reentrant().acquire().await.map(drop)
        };
        let error = outer.continue_when_lost().run(body).await.unwrap().unwrap_err();
        assert!(error.is_lost(), "{error:?}");
    })
    .await;
}

#[tokio::test]
async fn a_nested_guard_that_outlives_the_body_does_not_keep_the_lock_for_ever() {
    each_backend(async |fixture: Fixture| {
        let (locks, others) = (fixture.manager(), fixture.another_manager());
        let body = async { locks.clone().lock("job").reentrant().acquire().await.unwrap() };
        let guard = locks.lock("job").run(body).await.unwrap();
        drop(guard);
        free_soon(others, "job").await;
    })
    .await;
}
