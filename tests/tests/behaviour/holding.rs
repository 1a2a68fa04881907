//! Section 5: the lease while the body runs: renewal and `max_hold`. For its validity see `validity`.

use std::time::{Duration, Instant};

use lock_runtime::{Lease, LockError, LockManager, LostReason, distributed_lock};
use lock_tests::{Fixture, each_backend, eventually};

use crate::support::{Count, SOON, Stalls, drift, free_soon, held, lease_here, ms, soon};

/// Waits until the lease was renewed this many times: until then its remaining time only falls.
async fn renewed(lease: &Lease, times: u32) {
    let mut seen = 0;
    let mut before = lease.remaining();
    while seen < times {
        tokio::time::sleep(ms(2)).await;
        let now = lease.remaining();
        if now > before {
            seen += 1;
        }
        before = now;
    }
}

#[tokio::test]
async fn a_body_that_runs_for_longer_than_its_ttl_holds_the_lock_all_the_time() {
    const TTL: Duration = ms(3000);
    #[distributed_lock(key = "job", ttl = "3s", renew = "250ms", manager = locks)]
    async fn long(locks: &LockManager) -> Result<Instant, LockError> {
        let begun = Instant::now();
        while begun.elapsed() < TTL + ms(600) {
            assert!(lease_here().is_held());
            tokio::time::sleep(ms(10)).await;
        }
        Ok(Instant::now())
    }
    each_backend(async |fixture: Fixture| {
        let others_never_get_it = async {
            eventually("the body has begun", SOON, async || {
                held(fixture.manager(), "job").await
            })
            .await;
            loop {
                let attempt = fixture.another_manager().lock("job").try_acquire().await.unwrap();
                if attempt.is_some() {
                    return Instant::now();
                }
                tokio::time::sleep(ms(10)).await;
            }
        };
        let (ended, taken) = tokio::join!(long(fixture.manager()), others_never_get_it);
        assert!(taken >= ended.unwrap(), "somebody else got the lock while the body ran");
    })
    .await;
}

#[tokio::test]
async fn renew_says_how_often_the_lease_is_renewed() {
    #[distributed_lock(key = "job", ttl = "60s", renew = "100ms", manager = locks)]
    async fn often(locks: &LockManager) -> Result<(), LockError> {
        // By default the first renewal would be after 20 s.
        soon("three renewals", renewed(&lease_here(), 3)).await;
        Ok(())
    }
    each_backend(async |fixture: Fixture| often(fixture.manager()).await.unwrap()).await;
}

#[tokio::test]
async fn without_renew_a_lease_is_renewed_well_before_it_ends() {
    #[distributed_lock(key = "job", ttl = "2s", manager = locks)]
    async fn holds(locks: &LockManager) -> Result<Duration, LockError> {
        let (lease, stalls) = (lease_here(), Stalls::watch());
        let mut lowest = lease.remaining();
        soon("three renewals", async {
            let mut watch = std::pin::pin!(renewed(&lease, 3));
            while futures_util::poll!(watch.as_mut()).is_pending() {
                lowest = lowest.min(lease.remaining());
                tokio::time::sleep(ms(2)).await;
            }
        })
        .await;
        Ok(lowest + stalls.total())
    }
    each_backend(async |fixture: Fixture| {
        let lowest = holds(fixture.manager()).await.unwrap();
        // The first renewal is after 667 ms; more is left than half of what there was.
        assert!(lowest > ms(1000), "only {lowest:?} were left");
    })
    .await;
}

#[tokio::test]
async fn renew_false_ends_the_lease_after_one_ttl() {
    const TTL: Duration = ms(500);
    #[distributed_lock(key = "job", ttl = "500ms", renew = false, manager = locks)]
    async fn long(locks: &LockManager) -> Result<(), LockError> {
        std::future::pending().await
    }
    each_backend(async |fixture: Fixture| {
        let before = Instant::now();
        let error = soon("the lease ends", long(fixture.manager())).await.unwrap_err();
        assert!(before.elapsed() >= TTL - drift(TTL), "after {:?}", before.elapsed());
        assert_eq!(error.lost_reason(), Some(LostReason::Expired));
        free_soon(fixture.another_manager(), "job").await;
    })
    .await;
}

#[tokio::test]
async fn renew_false_is_no_harm_to_a_body_that_ends_in_time() {
    #[distributed_lock(key = "job", ttl = "5s", renew = false, manager = locks)]
    async fn short(locks: &LockManager) -> Result<u8, LockError> {
        Ok(1)
    }
    each_backend(async |fixture: Fixture| {
        assert_eq!(short(fixture.manager()).await.unwrap(), 1);
        assert!(!held(fixture.another_manager(), "job").await);
    })
    .await;
}

#[distributed_lock(key = "job", ttl = "3s", renew = "200ms", max_hold = "3200ms", manager = locks)]
async fn at_most(locks: &LockManager, dropped: DropCount) -> Result<(), LockError> {
    let _dropped = dropped;
    std::future::pending().await
}

struct DropCount(Count);

impl Drop for DropCount {
    fn drop(&mut self) {
        self.0.add();
    }
}

#[tokio::test]
async fn after_max_hold_the_lease_counts_as_lost_whatever_the_body_does() {
    each_backend(async |fixture: Fixture| {
        let (before, dropped) = (Instant::now(), Count::default());
        let call = at_most(fixture.manager(), DropCount(dropped.clone()));
        let error = soon("max_hold is over", call).await.unwrap_err();
        let held = before.elapsed();
        assert!(held >= ms(3200), "lost after {held:?}");
        assert!(error.is_lost(), "{error:?}");
        assert_eq!(error.lost_reason(), Some(LostReason::MaxHold));
        assert_eq!(dropped.get(), 1, "the body was dropped");
    })
    .await;
}

#[tokio::test]
async fn after_max_hold_the_lock_is_free_for_others() {
    each_backend(async |fixture: Fixture| {
        let dropped = DropCount(Count::default());
        soon("max_hold is over", at_most(fixture.manager(), dropped))
            .await
            .unwrap_err();
        let next = fixture.another_manager().lock("job").wait(SOON).acquire().await;
        next.unwrap().release().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn max_hold_is_no_harm_to_a_body_that_ends_in_time() {
    #[distributed_lock(key = "job", ttl = "2s", renew = "200ms", max_hold = "30s", manager = locks)]
    async fn short(locks: &LockManager) -> Result<u8, LockError> {
        soon("a renewal", renewed(&lease_here(), 1)).await;
        Ok(1)
    }
    each_backend(async |fixture: Fixture| assert_eq!(short(fixture.manager()).await.unwrap(), 1)).await;
}

#[tokio::test]
async fn until_max_hold_the_lease_is_renewed() {
    each_backend(async |fixture: Fixture| {
        let before = Instant::now();
        let lock = fixture
            .manager()
            .lock("job")
            .ttl(ms(3000))
            .renew_every(ms(200))
            .max_hold(ms(3300));
        let guard = lock.acquire().await.unwrap();
        let reason = soon("max_hold is over", guard.lease().lost()).await;
        assert_eq!(reason, LostReason::MaxHold);
        assert!(before.elapsed() >= ms(3300), "lost after {:?}", before.elapsed());
    })
    .await;
}

#[tokio::test]
async fn a_lease_survives_an_executor_that_is_blocked_for_longer_than_the_ttl() {
    #[distributed_lock(key = "job", ttl = "3s", renew = "250ms", manager = locks)]
    async fn blocks(locks: &LockManager) -> Result<bool, LockError> {
        let begun = Instant::now();
        while begun.elapsed() < ms(3600) {
            // The only thread of this runtime does nothing else.
            std::thread::sleep(ms(10));
        }
        Ok(lease_here().is_held())
    }
    each_backend(async |fixture: Fixture| assert!(blocks(fixture.manager()).await.unwrap())).await;
}

#[tokio::test]
async fn after_max_hold_the_lock_is_free_for_others_even_if_the_body_goes_on() {
    #[distributed_lock(key = "job", ttl = "500ms", max_hold = "800ms", on_lost = "continue", manager = locks)]
    async fn goes_on(locks: &LockManager, others: &LockManager) -> Result<(), LockError> {
        others.lock("job").wait(SOON).acquire().await?.release().await
    }
    each_backend(async |fixture: Fixture| {
        goes_on(fixture.manager(), fixture.another_manager()).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn many_leases_are_renewed_side_by_side() {
    each_backend(async |fixture: Fixture| {
        let locks = fixture.manager();
        let hold = |number: u32| {
            locks
                .lock(format!("job:{number}"))
                .ttl(ms(4000))
                .renew_every(ms(400))
                .acquire()
        };
        let guards: Vec<_> = futures_util::future::join_all((0..100).map(hold)).await;
        let guards: Vec<_> = guards.into_iter().map(Result::unwrap).collect();
        let begun = Instant::now();
        while begun.elapsed() < ms(4600) {
            assert!(guards.iter().all(|guard| guard.lease().is_held()));
            tokio::time::sleep(ms(20)).await;
        }
        let released = futures_util::future::join_all(guards.into_iter().map(lock_runtime::LockGuard::release));
        assert!(released.await.iter().all(Result::is_ok));
    })
    .await;
}
