//! Section 5: `lock_runtime::current()`, the lease of the hold that surrounds the caller.

use std::time::Duration;

use lock_runtime::{LockError, LockManager, current, distributed_lock};
use lock_tests::{Fixture, each_backend};

use crate::support::{drift, key_here, ms};

const TTL: Duration = Duration::from_secs(20);

#[tokio::test]
async fn outside_a_body_there_is_no_current_lease() {
    #[distributed_lock(key = "job", manager = locks)]
    async fn short(locks: &LockManager) -> Result<(), LockError> {
        Ok(())
    }
    each_backend(async |fixture: Fixture| {
        assert!(current().is_none());
        short(fixture.manager()).await.unwrap();
        assert!(current().is_none());
        fixture.manager().lock("job").run(async {}).await.unwrap();
        assert!(current().is_none());
    })
    .await;
}

#[test]
fn outside_a_runtime_there_is_no_current_lease() {
    assert!(current().is_none());
}

#[tokio::test]
async fn a_guard_makes_no_current_lease() {
    each_backend(async |fixture: Fixture| {
        let _guard = fixture.manager().lock("job").acquire().await.unwrap();
        assert!(current().is_none());
    })
    .await;
}

#[tokio::test]
async fn inside_a_body_the_current_lease_is_its_holds() {
    #[distributed_lock(key = "order:<id>", ttl = "20s", manager = locks)]
    async fn body(locks: &LockManager, id: &str) -> Result<(), LockError> {
        let lease = current().unwrap();
        assert_eq!(lease.key().as_str(), "order:a%20b");
        assert!(lease.is_held());
        lease.ensure_held()?;
        let remaining = lease.remaining();
        assert!(remaining <= TTL - drift(TTL) && remaining > ms(1000), "{remaining:?}");
        assert!(lease.fence().get() > 0);
        Ok(())
    }
    each_backend(async |fixture: Fixture| body(fixture.manager(), "a b").await.unwrap()).await;
}

#[tokio::test]
async fn the_body_of_run_has_a_current_lease_too() {
    each_backend(async |fixture: Fixture| {
        let key = fixture.manager().lock("job").run(async { key_here() }).await.unwrap();
        assert_eq!(key, "job");
    })
    .await;
}

#[tokio::test]
async fn what_a_body_calls_sees_the_bodys_lease_before_and_after_every_await() {
    async fn deep(levels: u32) {
        assert_eq!(key_here(), "job");
        tokio::task::yield_now().await;
        assert_eq!(key_here(), "job");
        if levels > 0 {
            Box::pin(deep(levels - 1)).await;
        }
        tokio::time::sleep(ms(1)).await;
        assert_eq!(key_here(), "job");
    }
    #[distributed_lock(key = "job", manager = locks)]
    async fn body(locks: &LockManager) -> Result<(), LockError> {
        deep(3).await;
        let joined = tokio::join!(deep(1), deep(1));
        assert_eq!(joined, ((), ()));
        Ok(())
    }
    each_backend(async |fixture: Fixture| body(fixture.manager()).await.unwrap()).await;
}

#[tokio::test]
async fn inside_nested_bodies_the_current_lease_is_the_innermost() {
    #[distributed_lock(key = "inner", manager = locks)]
    async fn inner(locks: &LockManager) -> Result<String, LockError> {
        tokio::task::yield_now().await;
        Ok(key_here())
    }
    #[distributed_lock(key = "outer", manager = locks)]
    async fn outer(locks: &LockManager) -> Result<(), LockError> {
        assert_eq!(inner(locks).await?, "inner");
        assert_eq!(key_here(), "outer");
        let (a, b) = tokio::join!(inner(locks), async {
            tokio::task::yield_now().await;
            key_here()
        });
        assert_eq!((a?.as_str(), b.as_str()), ("inner", "outer"));
        Ok(())
    }
    each_backend(async |fixture: Fixture| outer(fixture.manager()).await.unwrap()).await;
}

#[tokio::test]
async fn what_a_body_drops_sees_the_bodys_lease() {
    struct Looks<'a>(&'a mut bool);
    impl Drop for Looks<'_> {
        fn drop(&mut self) {
            *self.0 = current().is_some_and(|lease| lease.is_held());
        }
    }
    #[distributed_lock(key = "job", manager = locks)]
    async fn body(locks: &LockManager, saw: &mut bool) -> Result<(), LockError> {
        let _looks = Looks(saw);
        tokio::task::yield_now().await;
        Ok(())
    }
    each_backend(async |fixture: Fixture| {
        let mut saw = false;
        body(fixture.manager(), &mut saw).await.unwrap();
        assert!(saw);
    })
    .await;
}

#[tokio::test]
async fn a_lease_that_leaves_its_body_is_not_held_any_more() {
    each_backend(async |fixture: Fixture| {
        let body = async { current().unwrap() };
        let lease = fixture.manager().lock("job").run(body).await.unwrap();
        assert!(!lease.is_held());
        assert_eq!(lease.remaining(), Duration::ZERO);
        assert!(lease.ensure_held().is_err());
        assert_eq!(lease.key().as_str(), "job");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_move_between_threads_keep_their_own_lease() {
    #[distributed_lock(key = "job:<id>", manager = locks)]
    async fn body(locks: LockManager, id: usize) -> Result<(), LockError> {
        let own = format!("job:{id}");
        for _ in 0..200 {
            assert_eq!(key_here(), own);
            tokio::task::yield_now().await;
        }
        Ok(())
    }
    each_backend(async |fixture: Fixture| {
        let bodies: Vec<_> = (0..32)
            .map(|id| tokio::spawn(body(fixture.manager().clone(), id)))
            .collect();
        for body in bodies {
            body.await.unwrap().unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn after_a_panic_the_surrounding_lease_is_what_it_was() {
    use futures_util::FutureExt as _;
    use std::panic::AssertUnwindSafe;

    #[distributed_lock(key = "inner", manager = locks)]
    async fn panics(locks: &LockManager) -> Result<(), LockError> {
        tokio::task::yield_now().await;
        panic!("this body panics because the test wants it to")
    }
    #[distributed_lock(key = "outer", manager = locks)]
    async fn outer(locks: &LockManager) -> Result<String, LockError> {
        AssertUnwindSafe(panics(locks)).catch_unwind().await.unwrap_err();
        Ok(key_here())
    }
    each_backend(async |fixture: Fixture| {
        AssertUnwindSafe(panics(fixture.manager()))
            .catch_unwind()
            .await
            .unwrap_err();
        assert!(current().is_none());
        assert_eq!(outer(fixture.manager()).await.unwrap(), "outer");
        assert!(current().is_none());
    })
    .await;
}
