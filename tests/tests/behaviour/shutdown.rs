//! Section 8: `shutdown`: no new holds, the bodies get their time, and then every hold is released.

use std::time::{Duration, Instant};

use lock_runtime::{LockError, LockManager, LostReason, distributed_lock};
use lock_tests::{Fixture, each_backend, eventually};

use crate::support::{Count, Gate, SOON, held, lease_here, ms, soon};

const LONG: Duration = Duration::from_secs(60);

#[distributed_lock(key = "job", ttl = "60s", manager = locks)]
async fn job(locks: LockManager, gate: Gate) -> Result<u8, LockError> {
    gate.pass().await;
    Ok(5)
}

fn assert_shut_down(error: &LockError) {
    assert!(matches!(error, LockError::ShutDown { .. }), "{error:?}");
    assert!(
        !error.is_conflict() && !error.is_lost() && !error.is_reentered(),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_manager_without_holds_shuts_down_at_once() {
    each_backend(async |fixture: Fixture| {
        soon("it shuts down", fixture.manager().shutdown(LONG)).await;
    })
    .await;
}

#[tokio::test]
async fn after_shutdown_there_are_no_new_holds_under_any_policy() {
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
    each_backend(async |fixture: Fixture| {
        let (locks, ran) = (fixture.manager(), Count::default());
        soon("it shuts down", locks.shutdown(LONG)).await;
        assert_shut_down(&soon("a refusal", fails(locks, &ran)).await.unwrap_err());
        assert_shut_down(&soon("a refusal", retries(locks, &ran)).await.unwrap_err());
        assert_shut_down(&soon("a refusal", skips(locks, &ran)).await.unwrap_err());
        assert_shut_down(&soon("a refusal", locks.lock("job").acquire()).await.unwrap_err());
        assert_shut_down(&soon("a refusal", locks.lock("job").try_acquire()).await.unwrap_err());
        assert_shut_down(&soon("a refusal", locks.lock("job").run(async {})).await.unwrap_err());
        assert_eq!(ran.get(), 0);
        assert!(!held(fixture.another_manager(), "job").await);
    })
    .await;
}

#[tokio::test]
async fn while_it_shuts_down_there_are_no_new_holds() {
    each_backend(async |fixture: Fixture| {
        let (locks, gate) = (fixture.manager().clone(), Gate::default());
        let call = tokio::spawn(job(locks.clone(), gate.clone()));
        gate.entered().await;
        let mut shutdown = Box::pin(locks.shutdown(LONG));
        assert!(
            tokio::time::timeout(ms(200), shutdown.as_mut()).await.is_err(),
            "a body still runs"
        );
        assert_shut_down(
            &soon("a refusal", locks.lock("another job").acquire())
                .await
                .unwrap_err(),
        );
        gate.open();
        soon("it shuts down", shutdown).await;
        assert_eq!(call.await.unwrap().unwrap(), 5);
    })
    .await;
}

#[tokio::test]
async fn shutdown_waits_for_the_bodies_and_no_longer() {
    each_backend(async |fixture: Fixture| {
        let (locks, gate) = (fixture.manager().clone(), Gate::default());
        let call = tokio::spawn(job(locks.clone(), gate.clone()));
        gate.entered().await;
        let mut shutdown = Box::pin(locks.shutdown(LONG));
        assert!(
            tokio::time::timeout(ms(400), shutdown.as_mut()).await.is_err(),
            "a body still runs"
        );
        gate.open();
        soon("it shuts down", shutdown).await;
        assert!(!held(fixture.another_manager(), "job").await);
        assert_eq!(call.await.unwrap().unwrap(), 5, "its output stands");
    })
    .await;
}

#[tokio::test]
async fn bodies_that_still_run_after_the_grace_are_lost_as_shut_down() {
    each_backend(async |fixture: Fixture| {
        let (locks, gate) = (fixture.manager().clone(), Gate::default());
        let call = tokio::spawn(job(locks.clone(), gate.clone()));
        gate.entered().await;
        let begun = Instant::now();
        soon("it shuts down", locks.shutdown(ms(500))).await;
        assert!(begun.elapsed() >= ms(500), "only {:?} of grace", begun.elapsed());
        assert!(!held(fixture.another_manager(), "job").await);
        let error = soon("the call ends", call).await.unwrap().unwrap_err();
        assert!(error.is_lost(), "{error:?}");
        assert_eq!(error.lost_reason(), Some(LostReason::Shutdown));
        assert_eq!(error.key().unwrap().as_str(), "job");
    })
    .await;
}

#[tokio::test]
async fn every_hold_is_released_when_shutdown_returns() {
    each_backend(async |fixture: Fixture| {
        let locks = fixture.manager();
        let mut guards = Vec::new();
        for number in 0..10 {
            guards.push(locks.lock(format!("job:{number}")).ttl(LONG).acquire().await.unwrap());
        }
        soon("it shuts down", locks.shutdown(Duration::ZERO)).await;
        for (number, guard) in guards.into_iter().enumerate() {
            let key = format!("job:{number}");
            assert!(!held(fixture.another_manager(), &key).await, "{key}");
            assert!(!guard.lease().is_held(), "{key}");
            assert_eq!(guard.lease().lost().await, LostReason::Shutdown);
            assert!(guard.release().await.unwrap_err().is_lost(), "{key}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_release_in_the_background_is_done_when_shutdown_returns() {
    each_backend(async |fixture: Fixture| {
        let locks = fixture.manager();
        for number in 0..10 {
            drop(locks.lock(format!("job:{number}")).ttl(LONG).acquire().await.unwrap());
        }
        soon("it shuts down", locks.shutdown(LONG)).await;
        for number in 0..10 {
            assert!(
                !held(fixture.another_manager(), &format!("job:{number}")).await,
                "job:{number}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn during_the_grace_leases_are_renewed() {
    #[distributed_lock(key = "job", ttl = "3s", renew = "250ms", manager = locks)]
    async fn long(locks: LockManager, gate: Gate) -> Result<bool, LockError> {
        gate.entered_and_open();
        let begun = Instant::now();
        while begun.elapsed() < ms(3600) {
            tokio::time::sleep(ms(10)).await;
        }
        Ok(lease_here().is_held())
    }
    each_backend(async |fixture: Fixture| {
        let (locks, gate) = (fixture.manager().clone(), Gate::default());
        let call = tokio::spawn(long(locks.clone(), gate.clone()));
        gate.entered().await;
        soon("it shuts down", locks.shutdown(LONG)).await;
        assert!(call.await.unwrap().unwrap());
    })
    .await;
}

#[tokio::test]
async fn a_waiter_is_refused_when_its_manager_shuts_down() {
    each_backend(async |fixture: Fixture| {
        let locks = fixture.manager();
        let _held = fixture.another_manager().lock("job").ttl(LONG).acquire().await.unwrap();
        // So rare re-checks that only the shutdown itself can be what ends the wait.
        let lock = locks.lock("job").wait(LONG).backoff(LONG, LONG);
        let mut waiter = Box::pin(lock.acquire());
        assert!(tokio::time::timeout(ms(200), waiter.as_mut()).await.is_err());
        let waiter = tokio::spawn(waiter);
        soon("it shuts down", locks.shutdown(LONG)).await;
        let error = soon("the waiter gives up", waiter).await.unwrap().unwrap_err();
        assert_shut_down(&error);
    })
    .await;
}

#[tokio::test]
async fn all_clones_of_a_manager_are_shut_down_and_no_other_manager() {
    each_backend(async |fixture: Fixture| {
        let clone = fixture.manager().clone();
        soon("it shuts down", clone.shutdown(LONG)).await;
        assert_shut_down(&fixture.manager().lock("job").acquire().await.unwrap_err());
        fixture
            .another_manager()
            .lock("job")
            .acquire()
            .await
            .unwrap()
            .release()
            .await
            .unwrap();
    })
    .await;
}

#[tokio::test]
async fn shutdown_may_be_called_again_and_side_by_side() {
    each_backend(async |fixture: Fixture| {
        let locks = fixture.manager();
        let guard = locks.lock("job").ttl(LONG).acquire().await.unwrap();
        let both = async { tokio::join!(locks.shutdown(ms(100)), locks.shutdown(ms(200))) };
        soon("both end", both).await;
        drop(guard);
        soon("it ends at once", locks.shutdown(LONG)).await;
        assert!(!held(fixture.another_manager(), "job").await);
    })
    .await;
}

#[tokio::test]
async fn shutdown_does_not_wait_for_guards_that_hold_nothing_any_more() {
    each_backend(async |fixture: Fixture| {
        let locks = fixture.manager();
        let expired = locks
            .lock("expired")
            .ttl(ms(200))
            .never_renew()
            .acquire()
            .await
            .unwrap();
        soon("it expires", expired.lease().lost()).await;
        soon("nothing is held", locks.shutdown(LONG)).await;
        drop(expired);
    })
    .await;
}

#[tokio::test]
async fn a_second_shutdown_does_not_wait_for_what_the_first_has_ended() {
    each_backend(async |fixture: Fixture| {
        let locks = fixture.manager();
        let guard = locks.lock("job").ttl(LONG).acquire().await.unwrap();
        soon("it shuts down", locks.shutdown(Duration::ZERO)).await;
        soon("nothing is held", locks.shutdown(LONG)).await;
        drop(guard);
    })
    .await;
}

#[tokio::test]
async fn a_body_that_goes_on_after_a_loss_is_told_of_the_shutdown() {
    #[distributed_lock(key = "job", ttl = "60s", on_lost = "continue", manager = locks)]
    async fn goes_on(locks: LockManager, gate: Gate) -> Result<LostReason, LockError> {
        gate.entered_and_open();
        Ok(lease_here().lost().await)
    }
    each_backend(async |fixture: Fixture| {
        let gate = Gate::default();
        let call = tokio::spawn(goes_on(fixture.manager().clone(), gate.clone()));
        gate.entered().await;
        soon("it shuts down", fixture.manager().shutdown(ms(100))).await;
        assert_eq!(
            soon("the body ends", call).await.unwrap().unwrap(),
            LostReason::Shutdown
        );
        assert!(!held(fixture.another_manager(), "job").await);
    })
    .await;
}

#[tokio::test]
async fn a_shutdown_works_from_another_runtime() {
    each_backend(async |fixture: Fixture| {
        let (locks, gate) = (fixture.manager().clone(), Gate::default());
        let call = tokio::spawn(job(locks.clone(), gate.clone()));
        gate.entered().await;
        let shut_down = std::thread::spawn(move || crate::support::runtime().block_on(locks.shutdown(ms(100))));
        let error = soon("the call ends", call).await.unwrap().unwrap_err();
        assert_eq!(error.lost_reason(), Some(LostReason::Shutdown));
        eventually("it shuts down", SOON, async || shut_down.is_finished()).await;
        shut_down.join().unwrap();
        assert!(!held(fixture.another_manager(), "job").await);
    })
    .await;
}
