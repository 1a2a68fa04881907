//! Section 8: the guard, and the options of a request.

use std::time::{Duration, Instant};

use lock_runtime::{LockError, LockGuard, LockManager, LockRequest, LostReason, distributed_lock};
use lock_tests::{Fixture, each_backend};

use crate::support::{SOON, drift, held, lease_here, ms, soon};

#[tokio::test]
async fn a_guard_holds_the_lock_until_it_is_released() {
    each_backend(async |fixture: Fixture| {
        let guard = fixture.manager().lock("job").acquire().await.unwrap();
        assert!(guard.lease().is_held());
        assert_eq!(guard.lease().key().as_str(), "job");
        assert!(
            fixture
                .another_manager()
                .lock("job")
                .try_acquire()
                .await
                .unwrap()
                .is_none()
        );
        guard.release().await.unwrap();
        assert!(
            fixture
                .another_manager()
                .lock("job")
                .try_acquire()
                .await
                .unwrap()
                .is_some()
        );
    })
    .await;
}

#[tokio::test]
async fn after_a_release_the_lease_is_not_held() {
    each_backend(async |fixture: Fixture| {
        let guard = fixture.manager().lock("job").acquire().await.unwrap();
        let lease = guard.lease().clone();
        guard.release().await.unwrap();
        assert!(!lease.is_held());
        assert_eq!(lease.remaining(), Duration::ZERO);
        assert!(lease.ensure_held().is_err());
    })
    .await;
}

#[tokio::test]
async fn a_guard_is_renewed_while_it_lives() {
    each_backend(async |fixture: Fixture| {
        let guard = fixture
            .manager()
            .lock("job")
            .ttl(ms(3000))
            .renew_every(ms(250))
            .acquire()
            .await
            .unwrap();
        let begun = Instant::now();
        while begun.elapsed() < ms(3600) {
            assert!(guard.lease().is_held());
            assert!(held(fixture.another_manager(), "job").await);
            tokio::time::sleep(ms(20)).await;
        }
        guard.release().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn the_release_of_a_lock_that_expired_is_an_error() {
    each_backend(async |fixture: Fixture| {
        let guard = fixture
            .manager()
            .lock("job")
            .ttl(ms(300))
            .never_renew()
            .acquire()
            .await
            .unwrap();
        assert_eq!(soon("it expires", guard.lease().lost()).await, LostReason::Expired);
        let error = guard.release().await.unwrap_err();
        assert!(error.is_lost(), "{error:?}");
        assert_eq!(error.lost_reason(), Some(LostReason::Expired));
        assert_eq!(error.key().unwrap().as_str(), "job");
    })
    .await;
}

#[tokio::test]
async fn the_release_of_a_lock_that_is_gone_is_an_error_even_before_a_renewal_noticed() {
    each_backend(async |fixture: Fixture| {
        // The first renewal would be after 20 s.
        let lock = fixture.manager().lock("job").ttl(Duration::from_secs(60));
        let guard = lock.acquire().await.unwrap();
        assert!(fixture.another_manager().force_release("job").await.unwrap());
        let error = guard.release().await.unwrap_err();
        assert!(error.is_lost(), "{error:?}");
        assert_eq!(error.lost_reason(), Some(LostReason::Missing));
    })
    .await;
}

#[tokio::test]
async fn the_release_of_a_lock_that_another_took_is_an_error_and_leaves_it_alone() {
    each_backend(async |fixture: Fixture| {
        let lock = fixture.manager().lock("job").ttl(Duration::from_secs(60));
        let guard = lock.acquire().await.unwrap();
        assert!(fixture.another_manager().force_release("job").await.unwrap());
        let next = fixture.another_manager().lock("job").acquire().await.unwrap();
        let error = guard.release().await.unwrap_err();
        assert!(error.is_lost(), "{error:?}");
        assert_eq!(error.lost_reason(), Some(LostReason::Taken));
        assert!(held(fixture.another_manager(), "job").await);
        next.release().await.unwrap();
    })
    .await;
}

/// Whether a type is `Clone`: the inherent constant is there only if it is, and is looked up first.
struct Probe<T>(std::marker::PhantomData<T>);

trait NotClone {
    const CLONE: bool = false;
}

impl<T> NotClone for Probe<T> {}

impl<T: Clone> Probe<T> {
    const CLONE: bool = true;
}

#[test]
fn a_guard_cannot_be_released_twice() {
    // `release` takes the guard, and there is no second one.
    async fn release(guard: LockGuard) -> Result<(), LockError> {
        LockGuard::release(guard).await
    }
    let _ = release;
    const { assert!(!Probe::<LockGuard>::CLONE) };
    const { assert!(Probe::<lock_runtime::Lease>::CLONE) };
}

#[tokio::test]
async fn acquire_waits_for_the_holder_at_most_wait() {
    each_backend(async |fixture: Fixture| {
        let _held = fixture.another_manager().lock("job").acquire().await.unwrap();
        let begun = Instant::now();
        let error = fixture.manager().lock("job").wait(ms(400)).acquire().await.unwrap_err();
        assert!(error.is_conflict(), "{error:?}");
        assert!(
            begun.elapsed() >= ms(400) && begun.elapsed() < ms(400) + SOON,
            "{:?}",
            begun.elapsed()
        );
    })
    .await;
}

#[tokio::test]
async fn acquire_waits_as_long_as_the_manager_says_unless_told_otherwise() {
    each_backend(async |fixture: Fixture| {
        let _held = fixture.another_manager().lock("job").acquire().await.unwrap();
        let locks = fixture.builder().default_wait(ms(500)).connect().await.unwrap();
        let begun = Instant::now();
        let error = soon("it gives up", locks.lock("job").acquire()).await.unwrap_err();
        assert!(error.is_conflict(), "{error:?}");
        assert!(begun.elapsed() >= ms(500));
    })
    .await;
}

#[tokio::test]
async fn acquire_without_wait_does_not_wait() {
    each_backend(async |fixture: Fixture| {
        let _held = fixture.another_manager().lock("job").acquire().await.unwrap();
        let lock = fixture.manager().lock("job").wait(Duration::ZERO);
        assert!(soon("a refusal", lock.acquire()).await.unwrap_err().is_conflict());
    })
    .await;
}

#[tokio::test]
async fn acquire_without_wait_takes_a_free_lock() {
    each_backend(async |fixture: Fixture| {
        let lock = fixture.manager().lock("job").wait(Duration::ZERO);
        lock.acquire().await.unwrap().release().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn acquire_gets_the_lock_when_it_becomes_free() {
    each_backend(async |fixture: Fixture| {
        let held = fixture.another_manager().lock("job").acquire().await.unwrap();
        let lock = fixture.manager().lock("job").wait(Duration::from_secs(60));
        let lock = lock.backoff(Duration::from_secs(50), Duration::from_secs(55));
        let mut waiter = Box::pin(lock.acquire());
        assert!(tokio::time::timeout(ms(300), waiter.as_mut()).await.is_err());
        held.release().await.unwrap();
        drop(soon("it is woken", waiter).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn try_acquire_never_waits_for_a_holder() {
    each_backend(async |fixture: Fixture| {
        let _held = fixture.another_manager().lock("job").acquire().await.unwrap();
        let lock = fixture.manager().lock("job").wait(Duration::from_secs(60));
        assert!(soon("a refusal", lock.try_acquire()).await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn try_acquire_takes_a_free_lock() {
    each_backend(async |fixture: Fixture| {
        let guard = fixture.manager().lock("job").try_acquire().await.unwrap().unwrap();
        assert!(guard.lease().is_held());
    })
    .await;
}

#[tokio::test]
async fn run_gives_the_bodys_output_whatever_it_is() {
    each_backend(async |fixture: Fixture| {
        let lock = || fixture.manager().lock("job");
        assert_eq!(lock().run(async { 5 }).await.unwrap(), 5);
        assert_eq!(lock().run(async { Err::<(), _>("own") }).await.unwrap(), Err("own"));
        assert_eq!(lock().run(std::future::ready("text")).await.unwrap(), "text");
    })
    .await;
}

#[tokio::test]
async fn run_does_what_the_attribute_does() {
    each_backend(async |fixture: Fixture| {
        let (locks, others) = (fixture.manager(), fixture.another_manager());
        let body = async {
            assert_eq!(lease_here().key().as_str(), "job");
            assert!(held(others, "job").await);
        };
        locks.lock("job").run(body).await.unwrap();
        assert!(!held(others, "job").await);

        let lost = locks
            .lock("job")
            .ttl(ms(300))
            .never_renew()
            .run(std::future::pending::<()>());
        let error = soon("the lease ends", lost).await.unwrap_err();
        assert_eq!(error.lost_reason(), Some(LostReason::Expired));

        let lost = locks.lock("job").ttl(ms(300)).never_renew().continue_when_lost();
        let body = async { lease_here().lost().await };
        assert_eq!(
            soon("the lease ends", lost.run(body)).await.unwrap(),
            LostReason::Expired
        );

        let _held = others.lock("job").acquire().await.unwrap();
        let refused = locks
            .lock("job")
            .wait(ms(100))
            .run(async { panic!("the lock is held") });
        assert!(refused.await.unwrap_err().is_conflict());
    })
    .await;
}

#[tokio::test]
async fn a_request_holds_for_the_managers_ttl_unless_told_otherwise() {
    #[distributed_lock(key = "job", manager = locks)]
    async fn by_default(locks: &LockManager) -> Result<Duration, LockError> {
        Ok(lease_here().remaining())
    }
    each_backend(async |fixture: Fixture| {
        let thirty = Duration::from_secs(30);
        let guard = fixture.manager().lock("job").acquire().await.unwrap();
        let remaining = guard.lease().remaining();
        assert!(
            remaining <= thirty - drift(thirty) && remaining + SOON > thirty,
            "{remaining:?}"
        );
        guard.release().await.unwrap();

        let four = Duration::from_secs(4);
        let locks = fixture.builder().default_ttl(four).connect().await.unwrap();
        let guard = locks.lock("job").acquire().await.unwrap();
        assert!(
            guard.lease().remaining() <= four - drift(four),
            "{:?}",
            guard.lease().remaining()
        );
        guard.release().await.unwrap();
        let remaining = by_default(&locks).await.unwrap();
        assert!(remaining <= four - drift(four), "{remaining:?}");
    })
    .await;
}

#[tokio::test]
async fn an_option_that_makes_no_sense_is_an_error_of_its_own() {
    each_backend(async |fixture: Fixture| {
        let lock = || fixture.manager().lock("job");
        let requests: [(&str, LockRequest); 6] = [
            ("a ttl under 100 ms", lock().ttl(ms(99))),
            ("no ttl", lock().ttl(Duration::ZERO)),
            ("a ttl that overflows", lock().ttl(Duration::MAX)),
            (
                "renewals after half of the ttl",
                lock().ttl(ms(1000)).renew_every(ms(501)),
            ),
            ("renewals without pause", lock().renew_every(Duration::ZERO)),
            ("a max_hold under the ttl", lock().ttl(ms(1000)).max_hold(ms(999))),
        ];
        for (what, request) in requests {
            let error = request.acquire().await.map(|_| ()).expect_err(what);
            assert!(matches!(error, LockError::InvalidOption { .. }), "{what}: {error:?}");
            assert!(!error.is_conflict() && !error.is_unavailable(), "{what}: {error:?}");
        }
        assert!(!held(fixture.manager(), "job").await);
    })
    .await;
}

#[tokio::test]
async fn the_smallest_and_the_greatest_options_work() {
    each_backend(async |fixture: Fixture| {
        let lock = || fixture.manager().lock("job");
        let century = Duration::from_secs(100 * 365 * 86_400);
        let requests = [
            lock().ttl(ms(100)),
            lock().ttl(century),
            lock().ttl(ms(1000)).renew_every(ms(500)),
            lock().ttl(ms(1000)).max_hold(ms(1000)),
            lock().max_hold(century),
            lock().wait(century),
        ];
        for request in requests {
            // A ttl of 100 ms may be over when it is released.
            let _ = request.acquire().await.unwrap().release().await;
            crate::support::free_soon(fixture.manager(), "job").await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_option_that_does_not_fit_the_managers_ttl_is_an_error_of_its_own() {
    #[distributed_lock(key = "job", renew = "20s", manager = locks)]
    async fn renews(locks: &LockManager) -> Result<(), LockError> {
        Ok(())
    }
    #[distributed_lock(key = "job", max_hold = "20s", manager = locks)]
    async fn ends(locks: &LockManager) -> Result<(), LockError> {
        Ok(())
    }
    each_backend(async |fixture: Fixture| {
        let error = renews(fixture.manager()).await.unwrap_err();
        assert!(matches!(error, LockError::InvalidOption { .. }), "{error:?}");
        let error = ends(fixture.manager()).await.unwrap_err();
        assert!(matches!(error, LockError::InvalidOption { .. }), "{error:?}");
        let long = fixture
            .builder()
            .default_ttl(Duration::from_secs(40))
            .connect()
            .await
            .unwrap();
        renews(&long).await.unwrap();
        let short = fixture
            .builder()
            .default_ttl(Duration::from_secs(20))
            .connect()
            .await
            .unwrap();
        ends(&short).await.unwrap();
    })
    .await;
}
