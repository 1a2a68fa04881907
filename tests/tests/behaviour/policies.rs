//! Section 4: what `"fail"` and `"skip"` do when somebody else holds the lock. For `"retry"` see
//! `waiting`.

use std::time::Instant;

use lock_runtime::{LockError, LockManager, Skipped, distributed_lock};
use lock_tests::{Fixture, each_backend};

use crate::support::{Count, SOON, held};

#[distributed_lock(key = "job:<id>", manager = locks)]
async fn by_default(locks: &LockManager, id: u64, ran: &Count) -> Result<u64, LockError> {
    ran.add();
    Ok(id)
}

#[distributed_lock(key = "job:<id>", on_conflict = "fail", manager = locks)]
async fn fails(locks: &LockManager, id: u64, ran: &Count) -> Result<u64, LockError> {
    ran.add();
    Ok(id)
}

#[distributed_lock(key = "job:<id>", on_conflict = "skip", manager = locks)]
async fn skips(locks: &LockManager, id: u64, ran: &Count) -> Result<(), LockError> {
    ran.add();
    Ok(())
}

#[distributed_lock(key = "job:<id>", on_conflict = "skip", manager = locks)]
async fn skips_to_none(locks: &LockManager, id: u64, ran: &Count) -> Result<Option<u64>, LockError> {
    ran.add();
    Ok(Some(id))
}

#[derive(Debug, PartialEq, Eq)]
enum Report {
    Done,
    LeftToAnother,
}

impl Skipped for Report {
    fn skipped() -> Report {
        Report::LeftToAnother
    }
}

#[distributed_lock(key = "job:<id>", on_conflict = "skip", manager = locks)]
async fn skips_to_report(locks: &LockManager, id: u64, ran: &Count) -> Result<Report, LockError> {
    ran.add();
    Ok(Report::Done)
}

#[tokio::test]
async fn fail_is_a_conflict_at_once_and_the_body_does_not_run() {
    each_backend(async |fixture: Fixture| {
        let _held = fixture.another_manager().lock("job:7").acquire().await.unwrap();
        let (ran, begun) = (Count::default(), Instant::now());
        let error = fails(fixture.manager(), 7, &ran).await.unwrap_err();
        assert!(begun.elapsed() < SOON);
        assert!(error.is_conflict(), "{error:?}");
        assert!(matches!(error, LockError::Conflict { .. }), "{error:?}");
        assert!(
            !error.is_unavailable() && !error.is_lost() && !error.is_reentered(),
            "{error:?}"
        );
        assert_eq!(error.key().unwrap().as_str(), "job:7");
        assert_eq!(ran.get(), 0);
    })
    .await;
}

#[tokio::test]
async fn fail_is_what_happens_when_no_policy_is_named() {
    each_backend(async |fixture: Fixture| {
        let _held = fixture.another_manager().lock("job:7").acquire().await.unwrap();
        let (ran, begun) = (Count::default(), Instant::now());
        let error = by_default(fixture.manager(), 7, &ran).await.unwrap_err();
        assert!(begun.elapsed() < SOON);
        assert!(error.is_conflict(), "{error:?}");
        assert_eq!(ran.get(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_holder_in_the_same_manager_is_a_conflict_too() {
    each_backend(async |fixture: Fixture| {
        let _held = fixture.manager().lock("job:7").acquire().await.unwrap();
        let error = fails(fixture.manager(), 7, &Count::default()).await.unwrap_err();
        assert!(error.is_conflict(), "{error:?}");
    })
    .await;
}

#[tokio::test]
async fn the_body_runs_once_and_its_output_is_the_functions_when_the_lock_is_free() {
    each_backend(async |fixture: Fixture| {
        let (locks, ran) = (fixture.manager(), Count::default());
        assert_eq!(by_default(locks, 7, &ran).await.unwrap(), 7);
        assert_eq!(ran.get(), 1);
        assert_eq!(fails(locks, 7, &ran).await.unwrap(), 7);
        assert_eq!(ran.get(), 2);
        skips(locks, 7, &ran).await.unwrap();
        assert_eq!(ran.get(), 3);
        assert_eq!(skips_to_none(locks, 7, &ran).await.unwrap(), Some(7));
        assert_eq!(ran.get(), 4);
        assert_eq!(skips_to_report(locks, 7, &ran).await.unwrap(), Report::Done);
        assert_eq!(ran.get(), 5);
    })
    .await;
}

#[tokio::test]
async fn another_key_is_no_conflict() {
    each_backend(async |fixture: Fixture| {
        let _held = fixture.another_manager().lock("job:7").acquire().await.unwrap();
        let ran = Count::default();
        assert_eq!(fails(fixture.manager(), 8, &ran).await.unwrap(), 8);
        assert_eq!(ran.get(), 1);
    })
    .await;
}

#[tokio::test]
async fn skip_is_an_ok_unit_at_once_and_the_body_does_not_run() {
    each_backend(async |fixture: Fixture| {
        let _held = fixture.another_manager().lock("job:7").acquire().await.unwrap();
        let (ran, begun) = (Count::default(), Instant::now());
        skips(fixture.manager(), 7, &ran).await.unwrap();
        assert!(begun.elapsed() < SOON);
        assert_eq!(ran.get(), 0);
    })
    .await;
}

#[tokio::test]
async fn skip_is_none_for_an_option() {
    each_backend(async |fixture: Fixture| {
        let _held = fixture.another_manager().lock("job:7").acquire().await.unwrap();
        let ran = Count::default();
        assert_eq!(skips_to_none(fixture.manager(), 7, &ran).await.unwrap(), None);
        assert_eq!(ran.get(), 0);
    })
    .await;
}

#[tokio::test]
async fn skip_is_what_the_users_own_type_says() {
    each_backend(async |fixture: Fixture| {
        let _held = fixture.another_manager().lock("job:7").acquire().await.unwrap();
        let ran = Count::default();
        assert_eq!(
            skips_to_report(fixture.manager(), 7, &ran).await.unwrap(),
            Report::LeftToAnother
        );
        assert_eq!(ran.get(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_refused_call_leaves_the_holder_alone() {
    each_backend(async |fixture: Fixture| {
        let guard = fixture.another_manager().lock("job:7").acquire().await.unwrap();
        let before = fixture.manager().inspect("job:7").await.unwrap().unwrap();
        for _ in 0..3 {
            fails(fixture.manager(), 7, &Count::default()).await.unwrap_err();
            skips(fixture.manager(), 7, &Count::default()).await.unwrap();
        }
        let after = fixture.manager().inspect("job:7").await.unwrap().unwrap();
        assert_eq!((before.token(), before.owner()), (after.token(), after.owner()));
        assert!(guard.lease().is_held());
        guard.release().await.unwrap();
        assert!(!held(fixture.manager(), "job:7").await);
    })
    .await;
}

#[tokio::test]
async fn an_error_of_the_users_own_carries_the_locks_error() {
    #[derive(Debug, thiserror::Error)]
    #[error("the shop cannot: {0}")]
    struct ShopError(#[from] LockError);
    type ShopResult<T> = Result<T, ShopError>;

    #[distributed_lock(key = "job:<id>", manager = locks)]
    async fn ship(locks: &LockManager, id: u64) -> ShopResult<u64> {
        Ok(id)
    }
    each_backend(async |fixture: Fixture| {
        let _held = fixture.another_manager().lock("job:7").acquire().await.unwrap();
        assert!(ship(fixture.manager(), 7).await.unwrap_err().0.is_conflict());
        assert_eq!(ship(fixture.manager(), 8).await.unwrap(), 8);
    })
    .await;
}

#[tokio::test]
async fn a_body_that_fails_gives_its_own_error() {
    #[distributed_lock(key = "job", manager = locks)]
    async fn breaks(locks: &LockManager) -> Result<(), Box<dyn std::error::Error>> {
        Err("the printer is on fire")?;
        Ok(())
    }
    each_backend(async |fixture: Fixture| {
        let error = breaks(fixture.manager()).await.unwrap_err();
        assert_eq!(error.to_string(), "the printer is on fire");
        assert!(!held(fixture.manager(), "job").await);
    })
    .await;
}
