//! Section 5: `compensate`, what is awaited in place of a body whose lease was lost.

use std::time::Duration;

use lock_runtime::{LockError, LockManager, LostReason, current, distributed_lock};
use lock_tests::{Fixture, each_backend, eventually};

use crate::support::{BodyError, Count, End, Gate, Log, SOON, end, free_soon, held, ms, soon};

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Shipped,
    Refunded(u64, LostReason),
}

async fn refund(id: u64, reason: &LostReason, log: &Log) -> Result<Outcome, LockError> {
    log.say("refunded");
    Ok(Outcome::Refunded(id, *reason))
}

/// Says that it was dropped.
struct Local(Log);

impl Drop for Local {
    fn drop(&mut self) {
        self.0.say("local dropped");
    }
}

#[distributed_lock(
    key = "order:<id>",
    ttl = "6s",
    renew = "300ms",
    compensate = refund(id, &reason, &log),
    manager = locks
)]
async fn ship(locks: LockManager, id: u64, gate: Gate, log: Log) -> Result<Outcome, LockError> {
    let _local = Local(log.clone());
    gate.pass().await;
    log.say("shipped");
    Ok(Outcome::Shipped)
}

#[tokio::test]
async fn the_output_of_the_compensation_becomes_the_functions_output() {
    each_backend(async |fixture: Fixture| {
        let (gate, log) = (Gate::default(), Log::default());
        let call = tokio::spawn(ship(fixture.manager().clone(), 7, gate.clone(), log.clone()));
        gate.entered().await;
        fixture.another_manager().force_release("order:7").await.unwrap();
        let outcome = soon("the compensation ends", call).await.unwrap().unwrap();
        assert_eq!(outcome, Outcome::Refunded(7, LostReason::Missing));
    })
    .await;
}

#[tokio::test]
async fn the_compensation_runs_once_and_after_the_body_was_dropped() {
    each_backend(async |fixture: Fixture| {
        let (gate, log) = (Gate::default(), Log::default());
        let call = tokio::spawn(ship(fixture.manager().clone(), 7, gate.clone(), log.clone()));
        gate.entered().await;
        fixture.another_manager().force_release("order:7").await.unwrap();
        soon("the compensation ends", call).await.unwrap().unwrap();
        assert_eq!(log.lines(), ["local dropped", "refunded"]);
    })
    .await;
}

#[tokio::test]
async fn there_is_no_compensation_for_a_body_that_finished_while_the_lease_was_valid() {
    each_backend(async |fixture: Fixture| {
        let (gate, log) = (Gate::default(), Log::default());
        gate.open();
        let outcome = ship(fixture.manager().clone(), 7, gate, log.clone()).await.unwrap();
        assert_eq!(outcome, Outcome::Shipped);
        assert_eq!(log.lines(), ["shipped", "local dropped"]);
    })
    .await;
}

#[distributed_lock(
    key = "job",
    ttl = "20s",
    compensate = note(compensated),
    manager = locks
)]
async fn ends(locks: LockManager, compensated: Count, gate: Gate, how: End) -> Result<(), BodyError> {
    gate.pass().await;
    end(how).await
}

async fn note(compensated: Count) -> Result<(), BodyError> {
    compensated.add();
    Ok(())
}

#[tokio::test]
async fn there_is_no_compensation_for_a_body_that_ends_by_itself_in_whatever_way() {
    each_backend(async |fixture: Fixture| {
        for how in crate::support::ENDS {
            let (compensated, gate) = (Count::default(), Gate::default());
            let call = ends(fixture.manager().clone(), compensated.clone(), gate.clone(), how);
            crate::support::run_to_end(call, &gate, how).await;
            free_soon(fixture.another_manager(), "job").await;
            assert_eq!(compensated.get(), 0, "{how:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn there_is_no_compensation_for_a_call_that_was_refused() {
    each_backend(async |fixture: Fixture| {
        let _held = fixture.another_manager().lock("job").acquire().await.unwrap();
        let compensated = Count::default();
        let call = ends(
            fixture.manager().clone(),
            compensated.clone(),
            Gate::default(),
            End::Returns,
        );
        let error = call.await.unwrap_err();
        assert!(matches!(error, BodyError::Lock(error) if error.is_conflict()));
        assert_eq!(compensated.get(), 0);
    })
    .await;
}

#[tokio::test]
async fn the_error_of_the_compensation_is_the_functions_error() {
    #[distributed_lock(key = "job", ttl = "300ms", renew = false, compensate = breaks(), manager = locks)]
    async fn endless(locks: &LockManager) -> Result<(), BodyError> {
        std::future::pending().await
    }
    async fn breaks() -> Result<(), BodyError> {
        Err(BodyError::Failed)
    }
    each_backend(async |fixture: Fixture| {
        let error = soon("the compensation ends", endless(fixture.manager()))
            .await
            .unwrap_err();
        assert!(matches!(error, BodyError::Failed), "{error:?}");
    })
    .await;
}

async fn why(reason: LostReason) -> Result<LostReason, LockError> {
    Ok(reason)
}

#[tokio::test]
async fn the_compensation_learns_that_the_lease_expired() {
    #[distributed_lock(key = "job", ttl = "300ms", renew = false, compensate = why(reason), manager = locks)]
    async fn expires(locks: &LockManager) -> Result<LostReason, LockError> {
        std::future::pending().await
    }
    each_backend(async |fixture: Fixture| {
        let reason = soon("the compensation ends", expires(fixture.manager())).await.unwrap();
        assert_eq!(reason, LostReason::Expired);
    })
    .await;
}

#[tokio::test]
async fn the_compensation_learns_that_max_hold_was_over() {
    #[distributed_lock(key = "job", ttl = "3s", renew = "200ms", max_hold = "3200ms", compensate = why(reason), manager = locks)]
    async fn held_too_long(locks: &LockManager) -> Result<LostReason, LockError> {
        std::future::pending().await
    }
    each_backend(async |fixture: Fixture| {
        let reason = soon("the compensation ends", held_too_long(fixture.manager()))
            .await
            .unwrap();
        assert_eq!(reason, LostReason::MaxHold);
    })
    .await;
}

#[distributed_lock(key = "job", ttl = "20s", renew = "300ms", compensate = why(reason), manager = locks)]
async fn endless(locks: LockManager, gate: Gate) -> Result<LostReason, LockError> {
    gate.pass().await;
    std::future::pending().await
}

#[tokio::test]
async fn the_compensation_learns_that_another_took_the_lock() {
    each_backend(async |fixture: Fixture| {
        let gate = Gate::default();
        let call = tokio::spawn(endless(fixture.manager().clone(), gate.clone()));
        gate.entered().await;
        let next = fixture.another_manager().lock("job").wait(SOON);
        let free = fixture.another_manager().force_release("job");
        let (next, freed) = tokio::join!(next.acquire(), free);
        assert!(freed.unwrap());
        let reason = soon("the compensation ends", call).await.unwrap().unwrap();
        assert_eq!(reason, LostReason::Taken);
        next.unwrap().release().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn the_compensation_learns_that_the_manager_was_shut_down() {
    each_backend(async |fixture: Fixture| {
        let gate = Gate::default();
        let call = tokio::spawn(endless(fixture.manager().clone(), gate.clone()));
        gate.entered().await;
        soon("it shuts down", fixture.manager().shutdown(Duration::ZERO)).await;
        let reason = soon("the compensation ends", call).await.unwrap().unwrap();
        assert_eq!(reason, LostReason::Shutdown);
    })
    .await;
}

#[tokio::test]
async fn what_the_compensation_names_is_cloned_before_the_body_starts() {
    #[derive(Clone)]
    struct Basket(Vec<u8>);

    #[distributed_lock(
        key = "job",
        ttl = "300ms",
        renew = false,
        compensate = give_back(basket, id),
        manager = locks
    )]
    async fn eats(locks: &LockManager, mut basket: Basket, mut id: u8) -> Result<(Vec<u8>, u8), LockError> {
        basket.0.clear();
        id += 1;
        let (_eaten, _id) = (basket, id);
        std::future::pending().await
    }
    async fn give_back(basket: Basket, id: u8) -> Result<(Vec<u8>, u8), LockError> {
        Ok((basket.0, id))
    }
    each_backend(async |fixture: Fixture| {
        let call = eats(fixture.manager(), Basket(vec![1, 2]), 7);
        assert_eq!(soon("the compensation ends", call).await.unwrap(), (vec![1, 2], 7));
    })
    .await;
}

#[tokio::test]
async fn what_the_compensation_does_not_name_need_not_be_clone() {
    struct Unique(u8);

    #[distributed_lock(key = "job", ttl = "300ms", renew = false, compensate = give_up(), manager = locks)]
    async fn keeps(locks: &LockManager, unique: Unique) -> Result<u8, LockError> {
        std::future::pending::<()>().await;
        Ok(unique.0)
    }
    async fn give_up() -> Result<u8, LockError> {
        Ok(0)
    }
    each_backend(async |fixture: Fixture| {
        let call = keeps(fixture.manager(), Unique(1));
        assert_eq!(soon("the compensation ends", call).await.unwrap(), 0);
    })
    .await;
}

#[tokio::test]
async fn the_compensation_runs_without_a_lease() {
    #[distributed_lock(key = "job", ttl = "300ms", renew = false, compensate = looks(), manager = locks)]
    async fn expires(locks: &LockManager) -> Result<bool, LockError> {
        std::future::pending().await
    }
    async fn looks() -> Result<bool, LockError> {
        tokio::task::yield_now().await;
        Ok(current().is_none())
    }
    each_backend(async |fixture: Fixture| {
        let none = soon("the compensation ends", expires(fixture.manager())).await.unwrap();
        assert!(none, "current() is Some in a compensation");
    })
    .await;
}

#[tokio::test]
async fn the_compensation_runs_without_the_lock() {
    // The key itself would live for a minute: whether it is free does not hang on its expiry.
    #[distributed_lock(key = "job", ttl = "60s", compensate = takes(others), manager = locks)]
    async fn endless(locks: LockManager, others: LockManager, gate: Gate) -> Result<bool, LockError> {
        gate.pass().await;
        std::future::pending().await
    }
    async fn takes(others: LockManager) -> Result<bool, LockError> {
        let guard = others.lock("job").wait(SOON).acquire().await?;
        guard.release().await?;
        Ok(true)
    }
    each_backend(async |fixture: Fixture| {
        let gate = Gate::default();
        let others = fixture.another_manager().clone();
        let call = tokio::spawn(endless(fixture.manager().clone(), others, gate.clone()));
        gate.entered().await;
        soon("it shuts down", fixture.manager().shutdown(Duration::ZERO)).await;
        assert!(soon("the compensation ends", call).await.unwrap().unwrap());
    })
    .await;
}

#[tokio::test]
async fn a_compensation_that_is_dropped_does_not_run_again() {
    #[distributed_lock(key = "job", ttl = "300ms", renew = false, compensate = hangs(begun), manager = locks)]
    async fn expires(locks: LockManager, begun: Count) -> Result<(), LockError> {
        std::future::pending().await
    }
    async fn hangs(begun: Count) -> Result<(), LockError> {
        begun.add();
        std::future::pending().await
    }
    each_backend(async |fixture: Fixture| {
        let begun = Count::default();
        let call = tokio::spawn(expires(fixture.manager().clone(), begun.clone()));
        eventually("the compensation has begun", SOON, async || begun.get() == 1).await;
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
        free_soon(fixture.another_manager(), "job").await;
        assert_eq!(begun.get(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_body_that_finished_before_its_lease_would_have_been_lost_keeps_its_output() {
    #[distributed_lock(key = "job", ttl = "300ms", renew = false, compensate = note_one(again), manager = locks)]
    async fn quick(locks: &LockManager, again: Count) -> Result<u8, LockError> {
        Ok(1)
    }
    async fn note_one(again: Count) -> Result<u8, LockError> {
        again.add();
        Ok(2)
    }
    each_backend(async |fixture: Fixture| {
        let again = Count::default();
        assert_eq!(quick(fixture.manager(), again.clone()).await.unwrap(), 1);
        let begun = std::time::Instant::now();
        while begun.elapsed() < ms(400) {
            tokio::time::sleep(ms(10)).await;
        }
        assert_eq!(again.get(), 0);
        assert!(!held(fixture.another_manager(), "job").await);
    })
    .await;
}
