//! Section 5: what a release does, and that it happens wherever and whenever the body goes.

use std::time::Instant;

use lock_runtime::{LockError, LockManager, distributed_lock};
use lock_tests::{Fixture, each_backend, eventually};

use crate::support::{Gate, SOON, free_soon, held, ms, runtime, soon, threaded_runtime};

/// With a ttl that is far beyond every deadline of these tests.
#[distributed_lock(key = "job", ttl = "90s", manager = locks)]
async fn job(locks: LockManager, gate: Gate) -> Result<u8, LockError> {
    gate.pass().await;
    Ok(5)
}

#[tokio::test]
async fn when_a_call_returns_its_lock_is_free_for_the_next_call() {
    #[distributed_lock(key = "job", manager = locks)]
    async fn short(locks: &LockManager) -> Result<(), LockError> {
        Ok(())
    }
    each_backend(async |fixture: Fixture| {
        for _ in 0..50 {
            short(fixture.manager()).await.unwrap();
            short(fixture.another_manager()).await.unwrap();
        }
        assert!(!held(fixture.manager(), "job").await);
    })
    .await;
}

#[tokio::test]
async fn when_run_returns_its_lock_is_free_for_the_next_call() {
    each_backend(async |fixture: Fixture| {
        for _ in 0..50 {
            fixture.manager().lock("job").run(async {}).await.unwrap();
            assert!(!held(fixture.another_manager(), "job").await);
        }
    })
    .await;
}

#[tokio::test]
async fn a_dropped_body_frees_its_lock_at_once() {
    each_backend(async |fixture: Fixture| {
        let gate = Gate::default();
        let call = tokio::spawn(job(fixture.manager().clone(), gate.clone()));
        gate.entered().await;
        call.abort();
        free_soon(fixture.another_manager(), "job").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_body_frees_its_lock_at_once_on_a_runtime_of_many_threads() {
    each_backend(async |fixture: Fixture| {
        let gates: Vec<_> = (0..8).map(|_| Gate::default()).collect();
        for gate in gates {
            let call = tokio::spawn(job(fixture.manager().clone(), gate.clone()));
            gate.entered().await;
            call.abort();
            free_soon(fixture.another_manager(), "job").await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_dropped_body_frees_its_lock_at_once_in_a_local_set() {
    each_backend(async |fixture: Fixture| {
        let gate = Gate::default();
        let set = tokio::task::LocalSet::new();
        set.run_until(async {
            let call = tokio::task::spawn_local(job(fixture.manager().clone(), gate.clone()));
            gate.entered().await;
            call.abort();
            free_soon(fixture.another_manager(), "job").await;
        })
        .await;
    })
    .await;
}

/// Runs a body on a runtime of its own and drops that runtime while the body runs.
async fn drop_the_runtime_under_the_body(fixture: &Fixture, make: fn() -> tokio::runtime::Runtime) {
    let (locks, gate) = (fixture.manager().clone(), Gate::default());
    tokio::task::spawn_blocking(move || {
        let runtime = make();
        runtime.spawn(job(locks, gate.clone()));
        runtime.block_on(gate.entered());
        drop(runtime);
    })
    .await
    .unwrap();
    free_soon(fixture.another_manager(), "job").await;
}

#[tokio::test]
async fn a_body_frees_its_lock_while_its_runtime_of_one_thread_shuts_down() {
    each_backend(async |fixture: Fixture| drop_the_runtime_under_the_body(&fixture, runtime).await).await;
}

#[tokio::test]
async fn a_body_frees_its_lock_while_its_runtime_of_many_threads_shuts_down() {
    each_backend(async |fixture: Fixture| drop_the_runtime_under_the_body(&fixture, threaded_runtime).await).await;
}

#[tokio::test]
async fn a_future_that_outlives_its_runtime_frees_its_lock_when_it_is_dropped() {
    each_backend(async |fixture: Fixture| {
        let (locks, gate) = (fixture.manager().clone(), Gate::default());
        tokio::task::spawn_blocking(move || {
            let runtime = runtime();
            let mut call = Box::pin(job(locks, gate.clone()));
            runtime.block_on(async {
                tokio::select! {
                    _ = call.as_mut() => unreachable!("the gate is closed"),
                    () = gate.entered() => {}
                }
            });
            drop(runtime);
            drop(call);
        })
        .await
        .unwrap();
        free_soon(fixture.another_manager(), "job").await;
    })
    .await;
}

#[tokio::test]
async fn a_call_that_times_out_frees_its_lock() {
    each_backend(async |fixture: Fixture| {
        let call = job(fixture.manager().clone(), Gate::default());
        assert!(tokio::time::timeout(ms(300), call).await.is_err());
        free_soon(fixture.another_manager(), "job").await;
    })
    .await;
}

#[tokio::test]
async fn a_call_that_is_dropped_while_it_acquires_leaves_no_lock_behind() {
    each_backend(async |fixture: Fixture| {
        for polls in 1..=20 {
            let gate = Gate::default();
            let mut call = Box::pin(job(fixture.manager().clone(), gate));
            for _ in 0..polls {
                let _ = futures_util::poll!(call.as_mut());
                tokio::task::yield_now().await;
            }
            drop(call);
            free_soon(fixture.another_manager(), "job").await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_release_deletes_only_our_own_token() {
    let fixture = Fixture::redis().await;
    let server = fixture.server().unwrap();
    let gate = Gate::default();
    let call = tokio::spawn(job(fixture.manager().clone(), gate.clone()));
    gate.entered().await;
    server.cli(&["SET", "lock:job", "somebody-else", "PX", "60000"]);
    gate.open();
    // The first renewal would be after 30 s: the body ends and finds out at its release.
    let _ = soon("the call returns", call).await.unwrap();
    assert_eq!(server.get("lock:job").unwrap(), "somebody-else");
}

#[tokio::test]
async fn a_release_that_fails_does_not_replace_the_bodys_result_and_goes_on_in_the_background() {
    let fixture = Fixture::redis().await;
    let server = fixture.server().unwrap();
    let gate = Gate::default();
    let call = tokio::spawn(job(fixture.manager().clone(), gate.clone()));
    gate.entered().await;
    server.pause();
    gate.open();
    let output = tokio::time::timeout(SOON * 2, call)
        .await
        .expect("the call returns")
        .unwrap();
    assert_eq!(output.unwrap(), 5);
    server.resume();
    eventually("the release gets through", SOON * 2, async || {
        !server.exists("lock:job")
    })
    .await;
}

#[tokio::test]
async fn a_release_that_fails_does_not_replace_the_bodys_error() {
    #[distributed_lock(key = "job", ttl = "90s", manager = locks)]
    async fn breaks(locks: LockManager, gate: Gate) -> Result<(), crate::support::BodyError> {
        gate.pass().await;
        Err(crate::support::BodyError::Failed)
    }
    let fixture = Fixture::redis().await;
    let gate = Gate::default();
    let call = tokio::spawn(breaks(fixture.manager().clone(), gate.clone()));
    gate.entered().await;
    fixture.server().unwrap().pause();
    gate.open();
    let output = tokio::time::timeout(SOON * 2, call)
        .await
        .expect("the call returns")
        .unwrap();
    fixture.server().unwrap().resume();
    assert!(matches!(output, Err(crate::support::BodyError::Failed)), "{output:?}");
}

#[tokio::test]
async fn no_lease_is_renewed_after_its_body_is_gone() {
    let fixture = Fixture::redis().await;
    let server = fixture.server().unwrap();
    let lock = fixture.manager().lock("job").ttl(ms(20_000)).renew_every(ms(100));
    let guard = lock.acquire().await.unwrap();
    let value = server.get("lock:job").unwrap();
    drop(guard);
    free_soon(fixture.another_manager(), "job").await;
    // A renewal that still came would find its own token, and give it 20 s.
    server.cli(&["SET", "lock:job", &value, "PX", "1000"]);
    let begun = Instant::now();
    while let Some(ttl) = server.ttl("lock:job") {
        assert!(ttl <= ms(1000), "somebody renewed it to {ttl:?}");
        assert!(begun.elapsed() < SOON, "it is still there");
        tokio::time::sleep(ms(20)).await;
    }
}

#[tokio::test]
async fn a_dropped_or_panicking_body_frees_its_lock_within_milliseconds() {
    #[distributed_lock(key = "job", ttl = "90s", manager = locks)]
    async fn panics(locks: LockManager, gate: Gate) -> Result<u8, LockError> {
        gate.pass().await;
        panic!("this body panics because the test wants it to")
    }
    each_backend(async |fixture: Fixture| {
        for drops in [true, false] {
            let mut best = SOON;
            for _ in 0..20 {
                let (locks, gate) = (fixture.manager().clone(), Gate::default());
                let call = if drops {
                    tokio::spawn(job(locks, gate.clone()))
                } else {
                    tokio::spawn(panics(locks, gate.clone()))
                };
                gate.entered().await;
                let ended = Instant::now();
                if drops {
                    call.abort()
                } else {
                    gate.open()
                }
                while held(fixture.another_manager(), "job").await {
                    assert!(ended.elapsed() < SOON, "it is still held");
                    tokio::task::yield_now().await;
                }
                best = best.min(ended.elapsed());
            }
            // The best of many, because this machine may have other work.
            assert!(best < ms(50), "only after {best:?}");
        }
    })
    .await;
}
