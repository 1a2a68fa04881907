//! Section 5: first the body's locals and all parameters are dropped, then the lock is released.

use lock_runtime::{LockManager, distributed_lock};
use lock_tests::{Fixture, each_backend};

use crate::support::{BodyError, ENDS, End, Gate, Log, Witness, end, free_soon, run_to_end};

/// What a pattern takes apart and only in part binds.
struct Pair {
    bound: Witness,
    #[allow(dead_code, reason = "dropped, never read")]
    unbound: Witness,
}

struct Shop {
    locks: LockManager,
    #[allow(dead_code, reason = "dropped, never read")]
    own: Witness,
}

#[distributed_lock(key = "job", ttl = "60s", manager = locks)]
#[allow(clippy::too_many_arguments, reason = "one parameter for each way to write one")]
async fn plain(
    locks: LockManager,
    gate: Gate,
    ends: End,
    local: Witness,
    used: Witness,
    unused: Witness,
    _underscored: Witness,
    _: Witness,
) -> Result<(), BodyError> {
    let _local = local;
    let _ = &used;
    gate.pass().await;
    end(ends).await
}

#[distributed_lock(key = "job", ttl = "60s", manager = locks)]
async fn patterns(
    locks: LockManager,
    gate: Gate,
    ends: End,
    (first, _): (Witness, Witness),
    Pair { bound, .. }: Pair,
    [_, last]: [Witness; 2],
) -> Result<(), BodyError> {
    gate.pass().await;
    end(ends).await
}

impl Shop {
    #[distributed_lock(key = "job", ttl = "60s", manager = self.locks)]
    async fn by_value(self, gate: Gate, ends: End) -> Result<(), BodyError> {
        gate.pass().await;
        end(ends).await
    }
}

#[distributed_lock(key = "job", ttl = "60s", compensate = never(), manager = locks)]
async fn compensated(
    locks: LockManager,
    gate: Gate,
    ends: End,
    local: Witness,
    _: Witness,
    (third, _): (Witness, Witness),
) -> Result<(), BodyError> {
    let _local = local;
    gate.pass().await;
    end(ends).await
}

async fn never() -> Result<(), BodyError> {
    panic!("nothing was lost")
}

/// Everything that was dropped was dropped while the lock was held, and then the lock was freed.
async fn assert_all_held(fixture: &Fixture, ends: End, log: &Log, names: &[&str]) {
    free_soon(fixture.another_manager(), "job").await;
    let mut lines = log.lines();
    lines.sort();
    let mut expected: Vec<_> = names.iter().map(|name| format!("{name}: held")).collect();
    expected.sort();
    assert_eq!(lines, expected, "{ends:?}");
}

/// Makes witnesses that look through the other manager.
fn witnesses(fixture: &Fixture, log: &Log) -> impl Fn(&'static str) -> Witness {
    let (manager, log) = (fixture.another_manager().clone(), log.clone());
    move |name| Witness::new(name, "job", &manager, &log)
}

#[tokio::test]
async fn locals_and_parameters_are_dropped_under_the_lock_however_the_body_ends() {
    each_backend(async |fixture: Fixture| {
        for ends in ENDS {
            let (gate, log) = (Gate::default(), Log::default());
            let witness = witnesses(&fixture, &log);
            let call = plain(
                fixture.manager().clone(),
                gate.clone(),
                ends,
                witness("local"),
                witness("used"),
                witness("unused"),
                witness("underscored"),
                witness("unnamed"),
            );
            run_to_end(call, &gate, ends).await;
            let names = ["local", "used", "unused", "underscored", "unnamed"];
            assert_all_held(&fixture, ends, &log, &names).await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_unbound_parts_of_a_pattern_are_dropped_under_the_lock_however_the_body_ends() {
    each_backend(async |fixture: Fixture| {
        for ends in ENDS {
            let (gate, log) = (Gate::default(), Log::default());
            let witness = witnesses(&fixture, &log);
            let pair = Pair {
                bound: witness("bound"),
                unbound: witness("unbound"),
            };
            let call = patterns(
                fixture.manager().clone(),
                gate.clone(),
                ends,
                (witness("first"), witness("second")),
                pair,
                [witness("before last"), witness("last")],
            );
            run_to_end(call, &gate, ends).await;
            let names = ["first", "second", "bound", "unbound", "before last", "last"];
            assert_all_held(&fixture, ends, &log, &names).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_receiver_by_value_is_dropped_under_the_lock_however_the_body_ends() {
    each_backend(async |fixture: Fixture| {
        for ends in ENDS {
            let (gate, log) = (Gate::default(), Log::default());
            let own = witnesses(&fixture, &log)("own");
            let shop = Shop {
                locks: fixture.manager().clone(),
                own,
            };
            run_to_end(shop.by_value(gate.clone(), ends), &gate, ends).await;
            assert_all_held(&fixture, ends, &log, &["own"]).await;
        }
    })
    .await;
}

#[tokio::test]
async fn with_a_compensation_the_order_is_the_same() {
    each_backend(async |fixture: Fixture| {
        for ends in ENDS {
            let (gate, log) = (Gate::default(), Log::default());
            let witness = witnesses(&fixture, &log);
            let call = compensated(
                fixture.manager().clone(),
                gate.clone(),
                ends,
                witness("local"),
                witness("unnamed"),
                (witness("third"), witness("fourth")),
            );
            run_to_end(call, &gate, ends).await;
            assert_all_held(&fixture, ends, &log, &["local", "unnamed", "third", "fourth"]).await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_the_body_of_run_owns_is_dropped_under_the_lock_however_it_ends() {
    each_backend(async |fixture: Fixture| {
        for ends in ENDS {
            let (gate, log) = (Gate::default(), Log::default());
            let witness = witnesses(&fixture, &log);
            let (captured, local) = (witness("captured"), witness("local"));
            let (locks, inside) = (fixture.manager().clone(), gate.clone());
            let call = async move {
                let body = async move {
                    let _captured = &captured;
                    let _local = local;
                    inside.pass().await;
                    end(ends).await
                };
                locks.lock("job").run(body).await?
            };
            run_to_end(call, &gate, ends).await;
            assert_all_held(&fixture, ends, &log, &["captured", "local"]).await;
        }
    })
    .await;
}

#[tokio::test]
async fn parameters_of_a_call_that_is_dropped_before_its_first_poll_are_dropped_too() {
    each_backend(async |fixture: Fixture| {
        let log = Log::default();
        let witness = witnesses(&fixture, &log);
        let locks = fixture.manager().clone();
        let shop = Shop {
            locks,
            own: witness("own"),
        };
        drop(shop.by_value(Gate::default(), End::Returns));
        assert_eq!(log.lines(), ["own: free"]);
    })
    .await;
}

#[tokio::test]
async fn a_body_that_a_shutdown_stops_is_dropped_under_the_lock() {
    each_backend(async |fixture: Fixture| {
        let (gate, log) = (Gate::default(), Log::default());
        let witness = witnesses(&fixture, &log);
        let call = patterns(
            fixture.manager().clone(),
            gate.clone(),
            End::Returns,
            (witness("first"), witness("second")),
            Pair {
                bound: witness("bound"),
                unbound: witness("unbound"),
            },
            [witness("before last"), witness("last")],
        );
        let call = tokio::spawn(call);
        gate.entered().await;
        fixture.manager().shutdown(std::time::Duration::ZERO).await;
        assert!(matches!(call.await.unwrap(), Err(BodyError::Lock(error)) if error.is_lost()));
        let names = ["first", "second", "bound", "unbound", "before last", "last"];
        assert_all_held(&fixture, End::Cancelled, &log, &names).await;
    })
    .await;
}

#[tokio::test]
async fn a_body_that_is_awaited_in_one_step_is_dropped_under_the_lock_when_it_is_stopped() {
    each_backend(async |fixture: Fixture| {
        let (gate, log) = (Gate::default(), Log::default());
        let witness = witnesses(&fixture, &log);
        let call = plain(
            fixture.manager().clone(),
            gate.clone(),
            End::Returns,
            witness("local"),
            witness("used"),
            witness("unused"),
            witness("underscored"),
            witness("unnamed"),
        );
        let call = tokio::spawn(call);
        gate.entered().await;
        fixture.manager().shutdown(std::time::Duration::ZERO).await;
        assert!(matches!(call.await.unwrap(), Err(BodyError::Lock(error)) if error.is_lost()));
        let names = ["local", "used", "unused", "underscored", "unnamed"];
        assert_all_held(&fixture, End::Cancelled, &log, &names).await;
    })
    .await;
}

#[distributed_lock(key = "job", ttl = "3s", renew = "300ms", max_hold = "3s", manager = locks)]
async fn at_most(locks: LockManager, local: Witness, used: Witness) -> Result<(), BodyError> {
    let (_local, _) = (local, &used);
    std::future::pending().await
}

#[tokio::test]
async fn a_body_that_max_hold_ends_is_dropped_under_the_lock() {
    each_backend(async |fixture: Fixture| {
        let log = Log::default();
        let witness = witnesses(&fixture, &log);
        let call = at_most(fixture.manager().clone(), witness("local"), witness("used"));
        let error = crate::support::soon("max_hold is over", call).await.unwrap_err();
        assert!(matches!(error, BodyError::Lock(error) if error.is_lost()));
        assert_all_held(&fixture, End::Cancelled, &log, &["local", "used"]).await;
    })
    .await;
}
