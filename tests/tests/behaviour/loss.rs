//! Section 5: what is a loss, and what `on_lost` makes of it.

use std::time::{Duration, Instant};

use lock_runtime::{LockError, LockManager, LostReason, distributed_lock};
use lock_tests::{Fixture, each_backend, eventually};

use crate::support::{Count, Gate, Log, SOON, held, lease_here, ms, soon};

struct SaysDropped(Log);

impl Drop for SaysDropped {
    fn drop(&mut self) {
        self.0.say("dropped");
    }
}

/// Begins, says so, and never ends.
#[distributed_lock(key = "job", ttl = "6s", renew = "400ms", manager = locks)]
async fn endless(locks: LockManager, gate: Gate, log: Log) -> Result<(), LockError> {
    let _says = SaysDropped(log.clone());
    gate.pass().await;
    log.say("went on");
    std::future::pending().await
}

/// Begins, goes on when it is told to, and says what it then finds.
#[distributed_lock(key = "job", ttl = "6s", renew = "400ms", on_lost = "continue", manager = locks)]
async fn goes_on(locks: LockManager, gate: Gate) -> Result<LostReason, LockError> {
    let lease = lease_here();
    assert!(lease.is_held());
    lease.ensure_held().unwrap();
    gate.pass().await;
    let reason = soon("the loss is noticed", lease.lost()).await;
    assert!(!lease.is_held());
    assert_eq!(lease.remaining(), Duration::ZERO);
    let error = lease.ensure_held().unwrap_err();
    assert!(error.is_lost(), "{error:?}");
    assert_eq!(error.lost_reason(), Some(reason));
    assert_eq!(error.key().unwrap().as_str(), "job");
    assert!(!lease_here().is_held(), "current() is the lost lease");
    Ok(reason)
}

/// What makes the holder lose its lease.
async fn take_it_away(fixture: &Fixture) {
    assert!(fixture.another_manager().force_release("job").await.unwrap());
}

async fn take_it_over(fixture: &Fixture) -> lock_runtime::LockGuard {
    let next = fixture.another_manager().lock("job").wait(SOON);
    let (next, ()) = tokio::join!(next.acquire(), take_it_away(fixture));
    next.unwrap()
}

#[tokio::test]
async fn a_key_that_is_gone_is_lost_as_missing() {
    each_backend(async |fixture: Fixture| {
        let (gate, log) = (Gate::default(), Log::default());
        let call = tokio::spawn(endless(fixture.manager().clone(), gate.clone(), log.clone()));
        gate.entered().await;
        take_it_away(&fixture).await;
        let error = soon("the loss is noticed", call).await.unwrap().unwrap_err();
        assert!(error.is_lost(), "{error:?}");
        assert!(matches!(error, LockError::Lost { .. }), "{error:?}");
        assert_eq!(error.lost_reason(), Some(LostReason::Missing));
        assert_eq!(error.key().unwrap().as_str(), "job");
        assert_eq!(log.lines(), ["dropped"]);
    })
    .await;
}

#[tokio::test]
async fn a_lost_key_is_not_made_again() {
    each_backend(async |fixture: Fixture| {
        let (gate, log) = (Gate::default(), Log::default());
        let call = tokio::spawn(endless(fixture.manager().clone(), gate.clone(), log));
        gate.entered().await;
        take_it_away(&fixture).await;
        soon("the loss is noticed", call).await.unwrap().unwrap_err();
        assert!(!held(fixture.another_manager(), "job").await);
    })
    .await;
}

#[tokio::test]
async fn a_key_that_another_holds_is_lost_as_taken() {
    each_backend(async |fixture: Fixture| {
        let (gate, log) = (Gate::default(), Log::default());
        let call = tokio::spawn(endless(fixture.manager().clone(), gate.clone(), log.clone()));
        gate.entered().await;
        let next = take_it_over(&fixture).await;
        let error = soon("the loss is noticed", call).await.unwrap().unwrap_err();
        assert_eq!(error.lost_reason(), Some(LostReason::Taken));
        assert_eq!(log.lines(), ["dropped"]);
        assert!(next.lease().is_held());
    })
    .await;
}

#[tokio::test]
async fn a_key_with_a_foreign_token_is_lost_as_taken() {
    let fixture = Fixture::redis().await;
    let (gate, log) = (Gate::default(), Log::default());
    let call = tokio::spawn(endless(fixture.manager().clone(), gate.clone(), log));
    gate.entered().await;
    fixture
        .server()
        .unwrap()
        .cli(&["SET", "lock:job", "somebody-else", "PX", "60000"]);
    let error = soon("the loss is noticed", call).await.unwrap().unwrap_err();
    assert_eq!(error.lost_reason(), Some(LostReason::Taken));
    assert_eq!(fixture.server().unwrap().get("lock:job").unwrap(), "somebody-else");
    let ttl = fixture.server().unwrap().ttl("lock:job").unwrap();
    assert!(ttl > Duration::from_secs(30), "the stranger's ttl is changed: {ttl:?}");
}

#[tokio::test]
async fn the_loss_of_a_lock_leaves_its_next_holder_alone() {
    each_backend(async |fixture: Fixture| {
        let (gate, log) = (Gate::default(), Log::default());
        let call = tokio::spawn(endless(fixture.manager().clone(), gate.clone(), log));
        gate.entered().await;
        let next = take_it_over(&fixture).await;
        soon("the loss is noticed", call).await.unwrap().unwrap_err();
        assert!(
            held(fixture.manager(), "job").await,
            "the next holder's lock was deleted"
        );
        next.release().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_lost_body_is_not_polled_again() {
    #[distributed_lock(key = "job", ttl = "300ms", renew = false, manager = locks)]
    async fn blocks(locks: &LockManager, log: &Log) -> Result<(), LockError> {
        let begun = Instant::now();
        while begun.elapsed() < ms(400) {
            std::thread::sleep(ms(5));
        }
        // Ready to be polled at once, at a moment when the lease is over.
        tokio::task::yield_now().await;
        log.say("polled after the loss");
        Ok(())
    }
    each_backend(async |fixture: Fixture| {
        let log = Log::default();
        let error = blocks(fixture.manager(), &log).await.unwrap_err();
        assert_eq!(error.lost_reason(), Some(LostReason::Expired), "{error:?}");
        assert_eq!(log.lines(), [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn a_body_that_could_go_on_after_the_loss_is_not_polled_again() {
    #[distributed_lock(key = "job", ttl = "300ms", renew = false, manager = locks)]
    async fn waits(locks: &LockManager, gate: &Gate, log: &Log) -> Result<(), LockError> {
        gate.pass().await;
        log.say("polled after the loss");
        Ok(())
    }
    each_backend(async |fixture: Fixture| {
        let (gate, log) = (Gate::default(), Log::default());
        let blocks_the_thread = async {
            gate.entered().await;
            let begun = Instant::now();
            while begun.elapsed() < ms(400) {
                std::thread::sleep(ms(5));
            }
            gate.open();
        };
        let (lost, ()) = tokio::join!(waits(fixture.manager(), &gate, &log), blocks_the_thread);
        let error = lost.unwrap_err();
        assert_eq!(error.lost_reason(), Some(LostReason::Expired), "{error:?}");
        assert_eq!(log.lines(), [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn a_body_that_ends_after_its_lease_is_over_was_lost() {
    #[distributed_lock(key = "job", ttl = "300ms", renew = false, manager = locks)]
    async fn ends_late(locks: &LockManager) -> Result<(), LockError> {
        let begun = Instant::now();
        while begun.elapsed() < ms(400) {
            std::thread::sleep(ms(5));
        }
        Ok(())
    }
    each_backend(async |fixture: Fixture| {
        let error = ends_late(fixture.manager()).await.unwrap_err();
        assert_eq!(error.lost_reason(), Some(LostReason::Expired), "{error:?}");
    })
    .await;
}

#[tokio::test]
async fn a_lost_body_that_gets_nothing_done_is_dropped_all_the_same() {
    #[distributed_lock(key = "job", ttl = "400ms", renew = false, manager = locks)]
    async fn busy(locks: &LockManager, log: &Log) -> Result<(), LockError> {
        let _says = SaysDropped(log.clone());
        loop {
            tokio::task::yield_now().await;
        }
    }
    each_backend(async |fixture: Fixture| {
        let log = Log::default();
        let error = soon("it is aborted", busy(fixture.manager(), &log)).await.unwrap_err();
        assert_eq!(error.lost_reason(), Some(LostReason::Expired), "{error:?}");
        assert_eq!(log.lines(), ["dropped"]);
    })
    .await;
}

#[tokio::test]
async fn a_loss_is_an_error_under_skip_too() {
    #[distributed_lock(key = "job", ttl = "300ms", renew = false, on_conflict = "skip", manager = locks)]
    async fn skips(locks: &LockManager) -> Result<Option<u8>, LockError> {
        std::future::pending().await
    }
    each_backend(async |fixture: Fixture| {
        let error = soon("the lease ends", skips(fixture.manager())).await.unwrap_err();
        assert!(error.is_lost(), "{error:?}");
    })
    .await;
}

#[tokio::test]
async fn a_loss_is_not_tried_again_under_retry() {
    #[distributed_lock(key = "job", ttl = "300ms", renew = false, on_conflict = "retry", manager = locks)]
    async fn retries(locks: &LockManager, ran: &Count) -> Result<(), LockError> {
        ran.add();
        std::future::pending().await
    }
    each_backend(async |fixture: Fixture| {
        let ran = Count::default();
        let error = soon("the lease ends", retries(fixture.manager(), &ran))
            .await
            .unwrap_err();
        assert!(error.is_lost(), "{error:?}");
        assert_eq!(ran.get(), 1);
    })
    .await;
}

#[tokio::test]
async fn with_continue_a_body_goes_on_and_learns_that_its_key_is_missing() {
    each_backend(async |fixture: Fixture| {
        let gate = Gate::default();
        let call = tokio::spawn(goes_on(fixture.manager().clone(), gate.clone()));
        gate.entered().await;
        take_it_away(&fixture).await;
        gate.open();
        assert_eq!(soon("the body ends", call).await.unwrap().unwrap(), LostReason::Missing);
    })
    .await;
}

#[tokio::test]
async fn with_continue_a_body_goes_on_and_learns_that_its_key_was_taken() {
    each_backend(async |fixture: Fixture| {
        let gate = Gate::default();
        let call = tokio::spawn(goes_on(fixture.manager().clone(), gate.clone()));
        gate.entered().await;
        let next = take_it_over(&fixture).await;
        gate.open();
        assert_eq!(soon("the body ends", call).await.unwrap().unwrap(), LostReason::Taken);
        assert!(
            held(fixture.manager(), "job").await,
            "the next holder's lock was deleted"
        );
        next.release().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn with_continue_the_output_stands_after_the_lease_expired_and_at_max_hold() {
    #[distributed_lock(key = "job", ttl = "300ms", renew = false, on_lost = "continue", manager = locks)]
    async fn expires(locks: &LockManager) -> Result<LostReason, LockError> {
        Ok(lease_here().lost().await)
    }
    #[distributed_lock(key = "job", ttl = "3s", renew = "200ms", max_hold = "3200ms", on_lost = "continue", manager = locks)]
    async fn held_too_long(locks: &LockManager) -> Result<LostReason, LockError> {
        Ok(lease_here().lost().await)
    }
    each_backend(async |fixture: Fixture| {
        let locks = fixture.manager();
        assert_eq!(soon("a loss", expires(locks)).await.unwrap(), LostReason::Expired);
        assert_eq!(soon("a loss", held_too_long(locks)).await.unwrap(), LostReason::MaxHold);
    })
    .await;
}

#[tokio::test]
async fn lost_waits_as_long_as_the_lease_is_held() {
    each_backend(async |fixture: Fixture| {
        let guard = fixture
            .manager()
            .lock("job")
            .ttl(ms(6000))
            .renew_every(ms(200))
            .acquire()
            .await
            .unwrap();
        let lease = guard.lease().clone();
        let mut lost = std::pin::pin!(lease.lost());
        let waits = tokio::time::timeout(ms(500), lost.as_mut()).await;
        assert!(waits.is_err(), "{waits:?}");
        take_it_away(&fixture).await;
        assert_eq!(soon("the loss is noticed", lost).await, LostReason::Missing);
        assert_eq!(soon("a lost lease stays lost", lease.lost()).await, LostReason::Missing);
    })
    .await;
}

#[tokio::test]
async fn every_clone_of_a_lease_learns_of_the_loss() {
    each_backend(async |fixture: Fixture| {
        let guard = fixture
            .manager()
            .lock("job")
            .ttl(ms(6000))
            .renew_every(ms(200))
            .acquire()
            .await
            .unwrap();
        let watchers: Vec<_> = (0..3)
            .map(|_| {
                let lease = guard.lease().clone();
                tokio::spawn(async move { lease.lost().await })
            })
            .collect();
        take_it_away(&fixture).await;
        for watcher in watchers {
            assert_eq!(soon("the loss is noticed", watcher).await.unwrap(), LostReason::Missing);
        }
        eventually("the guard knows", SOON, async || !guard.lease().is_held()).await;
    })
    .await;
}

#[tokio::test]
async fn a_reason_says_in_words_what_happened() {
    let reasons = [
        LostReason::Expired,
        LostReason::Taken,
        LostReason::Missing,
        LostReason::MaxHold,
        LostReason::Shutdown,
    ];
    let texts: std::collections::HashSet<String> = reasons.iter().map(LostReason::to_string).collect();
    assert_eq!(texts.len(), reasons.len());
    assert!(texts.iter().all(|text| !text.is_empty()));
}
