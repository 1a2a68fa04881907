//! Section 5: until when a lease is valid, counted from before the request, and moved by confirmed renewals only.

use std::time::{Duration, Instant};

use lock_runtime::{LockManager, LostReason};
use lock_tests::{Fixture, Proxy, each_backend};

use crate::support::{Stalls, drift, free_soon, ms, soon};

#[tokio::test]
async fn a_lease_is_valid_for_ttl_less_drift_from_before_the_request() {
    each_backend(async |fixture: Fixture| {
        let ttl = Duration::from_secs(10);
        let before = Instant::now();
        let guard = fixture
            .manager()
            .lock("job")
            .ttl(ttl)
            .never_renew()
            .acquire()
            .await
            .unwrap();
        let remaining = guard.lease().remaining();
        let read = Instant::now();
        let whole = ttl - drift(ttl);
        // t0 lies after `before`, and the reading before `read`.
        assert!(remaining <= whole, "{remaining:?} remain");
        assert!(remaining + read.duration_since(before) >= whole, "{remaining:?} remain");
    })
    .await;
}

#[tokio::test]
async fn the_remaining_time_falls_with_the_clock_until_it_is_nothing() {
    each_backend(async |fixture: Fixture| {
        let ttl = ms(400);
        let before = Instant::now();
        let guard = fixture
            .manager()
            .lock("job")
            .ttl(ttl)
            .never_renew()
            .acquire()
            .await
            .unwrap();
        let lease = guard.lease();
        while lease.is_held() {
            let remaining = lease.remaining();
            assert!(remaining + before.elapsed() >= ttl - drift(ttl));
            tokio::time::sleep(ms(5)).await;
        }
        assert!(before.elapsed() >= ttl - drift(ttl));
        assert_eq!(lease.remaining(), Duration::ZERO);
    })
    .await;
}

#[tokio::test]
async fn the_lock_in_the_backend_outlives_the_lease() {
    each_backend(async |fixture: Fixture| {
        for _ in 0..5 {
            let guard = fixture
                .manager()
                .lock("job")
                .ttl(ms(300))
                .never_renew()
                .acquire()
                .await
                .unwrap();
            let holder = fixture.manager().inspect("job").await.unwrap();
            let remaining = guard.lease().remaining();
            if let Some(holder) = holder {
                // The holder's time was read first, so it may only be the longer one.
                assert!(
                    holder.remaining() + ms(1) >= remaining,
                    "{holder:?} against {remaining:?}"
                );
            } else {
                assert_eq!(remaining, Duration::ZERO);
            }
            drop(guard);
            free_soon(fixture.manager(), "job").await;
        }
    })
    .await;
}

#[tokio::test]
async fn loss_is_decided_on_time_even_if_the_backend_hangs() {
    let fixture = Fixture::redis().await;
    let ttl = ms(1000);
    let guard = fixture.manager().lock("job").ttl(ttl).acquire().await.unwrap();
    fixture.server().unwrap().pause();
    let (paused, stalls) = (Instant::now(), Stalls::watch());
    let reason = soon("the lease is lost", guard.lease().lost()).await;
    let lost = paused.elapsed().saturating_sub(stalls.total());
    fixture.server().unwrap().resume();
    assert_eq!(reason, LostReason::Expired);
    assert!(!guard.lease().is_held());
    // Whatever was confirmed before the pause ends one ttl later at the latest.
    assert!(lost < ttl + ms(500), "only after {lost:?}");
}

#[tokio::test]
async fn a_renewal_that_is_not_confirmed_does_not_move_the_deadline() {
    let fixture = Fixture::redis().await;
    let locks = fixture.manager();
    let guard = locks
        .lock("job")
        .ttl(ms(3000))
        .renew_every(ms(300))
        .acquire()
        .await
        .unwrap();
    fixture.server().unwrap().pause();
    let paused = Instant::now();
    // The confirmation of a renewal that the server did before it stopped may still be on its way.
    let mut highest = guard.lease().remaining();
    while guard.lease().is_held() {
        let remaining = guard.lease().remaining();
        if paused.elapsed() < ms(500) {
            highest = remaining;
        }
        assert!(remaining <= highest, "{remaining:?} remain after {highest:?}");
        highest = remaining;
        tokio::time::sleep(ms(5)).await;
    }
    fixture.server().unwrap().resume();
}

#[tokio::test]
async fn the_time_that_an_answer_takes_is_not_added_to_the_lease() {
    const LATE: Duration = ms(300);
    let fixture = Fixture::redis().await;
    let proxy = Proxy::to(fixture.server().unwrap());
    let locks = LockManager::connect(&proxy.url()).await.unwrap();
    locks.lock("warm").run(async {}).await.unwrap();
    proxy.delay(LATE);

    let ttl = Duration::from_secs(20);
    let longest = ttl - drift(ttl) - LATE;
    let guard = locks.lock("job").ttl(ttl).renew_every(ms(100)).acquire().await.unwrap();
    let (mut renewals, mut before) = (0, guard.lease().remaining());
    assert!(before <= longest, "{before:?} of {longest:?} after the acquisition");
    soon("three renewals", async {
        while renewals < 3 {
            let now = guard.lease().remaining();
            assert!(now <= longest, "{now:?} of {longest:?} after a renewal");
            renewals += u32::from(now > before);
            before = now;
            tokio::time::sleep(ms(1)).await;
        }
    })
    .await;
    proxy.delay(Duration::ZERO);
}
