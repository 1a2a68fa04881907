//! Who calls: callers that give up in the middle of it, on runtimes that end, with keys and namespaces of odd letters.

use std::pin::pin;
use std::task::Poll;

use lock_runtime::LockManager;
use lock_tests::{Fixture, each_backend, eventually};

use crate::functions::{ship, ship_traced};
use crate::support::{Act, SOON, Shop, counts, done, hold, hold_key, no_violation, waiting};

/// Polls `future` whenever it wants to be, `times` times at most, then drops it.
async fn polled<T>(times: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut polls = 0;
    std::future::poll_fn(|context| {
        if polls == times {
            return Poll::Ready(None);
        }
        polls += 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if polls == times => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

#[tokio::test]
async fn a_caller_that_gives_up_has_stored_its_call_once_or_not_at_all() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let guard = hold(fixture.another_manager(), 7).await;
        let (mut tickets, mut gave_up) = (0, 0);
        for polls in 0..8 {
            let call = ship(&shop, 7, format!("call {polls}"), Act::Note);
            match polled(polls, call).await {
                Some(outcome) => tickets += u64::from(outcome.unwrap().ticket().is_some()),
                None => gave_up += 1,
            }
        }
        assert!(tickets > 0 && gave_up > 0, "{tickets}, {gave_up}");
        let last = shop.store(7, "last", Act::Note).await;
        let stored = waiting(fixture.manager()).await;
        assert!(stored > tickets && stored <= tickets + gave_up + 1, "{stored} calls");
        let worker = shop.work(fixture.manager());
        guard.release().await.unwrap();
        done(fixture.manager(), last).await;
        let mut ended = shop.ended();
        ended.sort();
        ended.dedup();
        assert_eq!(ended.len(), shop.begun().len(), "a call ran twice: {:?}", shop.begun());
        no_violation(&shop);
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_caller_that_gives_up_leaves_the_lock_alone() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        for polls in 0..8 {
            drop(polled(polls, ship(&shop, 7, "call".into(), Act::Linger { ms: 5 })).await);
            // It waits for less than the ttl.
            hold(fixture.another_manager(), 7).await.release().await.unwrap();
        }
        assert_eq!(counts(fixture.manager()).await, [0; 4]);
    })
    .await;
}

#[test]
fn a_call_outlives_the_runtime_of_its_caller() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap()
    };
    runtime().block_on(each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let guard = hold(fixture.another_manager(), 7).await;
        let caller = shop.clone();
        let thread = std::thread::spawn(move || runtime().block_on(caller.store(7, "call", Act::Note)));
        let ticket = tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap();
        guard.release().await.unwrap();
        let worker = shop.work(fixture.manager());
        done(fixture.manager(), ticket).await;
        worker.stop().await;
    }));
}

#[tokio::test]
async fn the_calls_of_a_worker_whose_runtime_ends_are_handed_back() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let ticket = shop.store_free(7, "call", Act::HangOnce).await;
        let worker = shop.worker(fixture.another_manager());
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.unwrap();
            runtime.block_on(async {
                let worker = tokio::spawn(worker.run_until(std::future::pending::<()>()));
                // When the runtime ends, the worker does too, in the middle of everything.
                let _ = stopped.await;
                drop(worker);
            });
        });
        shop.until_inside(1).await;
        stop.send(()).unwrap();
        tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap();
        eventually("the body is dropped", SOON, async || shop.inside() == 0).await;
        // Long before its claim is over.
        let worker = shop.work(fixture.manager());
        done(fixture.manager(), ticket).await;
        no_violation(&shop);
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn keys_of_odd_letters_have_their_calls() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let worker = shop.work(fixture.another_manager());
        for name in ["a b", "{x}", "a*b?[c]", "new\nline", "100%", "\\\"'", "Größe", "}{"] {
            // Another call with that name says what its key is.
            let outcome = ship_traced(&shop, name.to_owned(), Act::Gate);
            let mut outcome = Box::pin(outcome);
            let running = tokio::time::timeout(crate::support::ms(30), outcome.as_mut()).await;
            assert!(running.is_err(), "{name:?}: {running:?}");
            shop.until_inside(1).await;
            let stored = ship_traced(&shop, name.to_owned(), Act::Note).await.unwrap();
            let ticket = stored.ticket().unwrap_or_else(|| panic!("{name:?} is not taken"));
            shop.open(1);
            outcome.await.unwrap();
            done(fixture.manager(), ticket).await;
        }
        assert_eq!(counts(fixture.manager()).await, [0; 4]);
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn namespaces_of_odd_letters_have_their_calls_each_its_own() {
    each_backend(async |fixture: Fixture| {
        let names = ["{a}:", "}", "{", "a b\n", "lock:{queue:lock:}", "ä"];
        let mut all: Vec<(LockManager, Shop)> = Vec::new();
        for name in names {
            let locks = fixture.builder().namespace(name).connect().await.unwrap();
            let guard = hold_key(&locks, "order:7").await;
            let shop = Shop::on(&locks);
            shop.store(7, name, Act::Note).await;
            guard.release().await.unwrap();
            all.push((locks, shop));
        }
        for (locks, shop) in &all {
            assert_eq!(waiting(locks).await, 1);
            let worker = shop.work(locks);
            eventually("it has run", SOON, async || counts(locks).await == [0; 4]).await;
            worker.stop().await;
        }
        for (name, (_, shop)) in names.iter().zip(&all) {
            assert_eq!(shop.ended(), [*name]);
        }
    })
    .await;
}
