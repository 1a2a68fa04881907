//! Section 4: a call that meets a taken lock is stored, and no other call is.

use std::time::Instant;

use lock_runtime::{CallState, LockManager, Outcome};
use lock_tests::{Fixture, RedisServer, each_backend, eventually};

use crate::functions::{Receipt, ship, ship_by_default, ship_soon, ship_unspeakable, ship_with_receipt, ship_within};
use crate::support::{ANSWER, Act, LATE, SOON, Shop, ShopError, counts, dead, done, hold, key, soon, stored, waiting};

#[tokio::test]
async fn a_free_lock_lets_the_body_run_at_once_and_nothing_is_stored() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let outcome = soon("it runs", ship(&shop, 7, "first".into(), Act::Note))
            .await
            .unwrap();
        assert_eq!(outcome, Outcome::Done(7));
        soon("it runs", ship_by_default(&shop, 7)).await.unwrap();
        let receipt = soon("it runs", ship_with_receipt(&shop, 7)).await.unwrap();
        assert_eq!(receipt, Receipt::Shipped);
        assert_eq!(shop.ended(), ["first", "by default", "with receipt"]);
        assert_eq!(counts(fixture.manager()).await, [0; 4]);
        let free = fixture.manager().inspect(key(7)).await.unwrap().is_none();
        assert!(free, "the lock is not free after the call");
    })
    .await;
}

#[tokio::test]
async fn an_error_of_a_body_that_runs_at_once_is_the_callers_and_no_dead_letter() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let result = ship(&shop, 7, "bad".into(), Act::Fail("no stock".into())).await;
        assert!(
            matches!(&result, Err(ShopError::Refused(text)) if text == "no stock"),
            "{result:?}"
        );
        assert_eq!(counts(fixture.manager()).await, [0; 4]);
    })
    .await;
}

#[tokio::test]
async fn a_taken_lock_stores_the_call_at_once_and_the_body_does_not_run() {
    each_backend(async |fixture: Fixture| {
        let (shop, begun) = (Shop::on(fixture.manager()), Instant::now());
        let _held = hold(fixture.another_manager(), 7).await;
        let ticket = shop.store(7, "later", Act::Note).await;
        assert!(begun.elapsed() < SOON);
        assert_eq!(shop.begun(), [""; 0]);
        assert_eq!(counts(fixture.manager()).await, [0, 1, 0, 0]);
        let call = stored(fixture.another_manager(), ticket).await;
        assert_eq!(call.ticket(), ticket);
        assert_eq!(call.state(), CallState::Delayed);
        assert_eq!(call.key().as_str(), key(7));
        let function = call.function().unwrap();
        assert!(function.ends_with("::functions::ship"), "{function}");
        assert_eq!((call.cause(), call.last_error(), call.worker()), (None, None, None));
    })
    .await;
}

#[tokio::test]
async fn without_options_a_call_is_tried_twenty_times_and_first_after_a_second() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let _held = hold(fixture.another_manager(), 7).await;
        ship_by_default(&shop, 7).await.unwrap();
        let queue = fixture.manager().queue();
        let mut calls = queue.list(CallState::Delayed, 0, 10).await.unwrap();
        // On a machine that stood still meanwhile, its second is over.
        calls.append(&mut queue.list(CallState::Due, 0, 10).await.unwrap());
        assert_eq!(calls.len(), 1, "{calls:?}");
        assert_eq!(calls[0].attempts(), 20);
        let delay = calls[0]
            .next_attempt_at()
            .unwrap()
            .duration_since(calls[0].stored_at())
            .unwrap();
        assert!((500..=1500).contains(&delay.as_millis()), "{delay:?}");
    })
    .await;
}

#[tokio::test]
async fn a_stored_call_is_an_ok_unit() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let _held = hold(fixture.another_manager(), 7).await;
        ship_by_default(&shop, 7).await.unwrap();
        assert_eq!(shop.begun(), [""; 0]);
        assert_eq!(waiting(fixture.manager()).await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_stored_call_is_what_the_users_own_type_says() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let guard = hold(fixture.another_manager(), 7).await;
        let Receipt::Later(ticket) = ship_with_receipt(&shop, 7).await.unwrap() else {
            panic!("it ran, though the lock is taken");
        };
        let worker = shop.work(fixture.manager());
        guard.release().await.unwrap();
        done(fixture.manager(), ticket).await;
        assert_eq!(shop.ended(), ["with receipt"]);
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_holder_in_the_same_manager_is_a_conflict_too() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let _held = hold(fixture.manager(), 7).await;
        shop.store(7, "later", Act::Note).await;
        assert_eq!(counts(fixture.manager()).await, [0, 1, 0, 0]);
    })
    .await;
}

#[tokio::test]
async fn a_stored_call_leaves_the_holder_alone() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let guard = hold(fixture.another_manager(), 7).await;
        let before = fixture.manager().inspect(key(7)).await.unwrap().unwrap();
        let worker = shop.work(fixture.manager());
        for name in ["a", "b", "c"] {
            shop.store(7, name, Act::Note).await;
        }
        ship_soon(&shop, 7, "soon".into(), Act::Note).await.unwrap();
        let after = fixture.manager().inspect(key(7)).await.unwrap().unwrap();
        assert_eq!((before.token(), before.owner()), (after.token(), after.owner()));
        assert!(guard.lease().is_held());
        worker.stop().await;
        guard.release().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn every_call_has_a_ticket_of_its_own() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let _held = hold(fixture.another_manager(), 7).await;
        let first = shop.store(7, "same", Act::Note).await;
        let second = shop.store(7, "same", Act::Note).await;
        assert_ne!(first, second);
        assert_eq!(counts(fixture.manager()).await, [0, 2, 0, 0]);
    })
    .await;
}

#[tokio::test]
async fn a_call_from_a_body_that_holds_the_lock_is_reentered_and_not_stored() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let said = ship_within(&shop, 7).await.unwrap_err().to_string();
        assert!(said.contains("the inner call is reentered"), "{said}");
        assert_eq!(shop.begun(), [""; 0]);
        assert_eq!(counts(fixture.manager()).await, [0; 4]);
    })
    .await;
}

#[tokio::test]
async fn a_call_from_a_stored_body_that_holds_the_lock_is_reentered_too() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let guard = hold(fixture.another_manager(), 7).await;
        let ticket = ship_within(&shop, 7).await.unwrap().ticket().unwrap();
        let worker = shop.work(fixture.manager());
        guard.release().await.unwrap();
        let call = dead(fixture.manager(), ticket).await;
        let said = call.last_error().unwrap();
        assert!(said.contains("the inner call is reentered"), "{said}");
        assert_eq!(counts(fixture.manager()).await, [0, 0, 0, 1]);
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_backend_that_hangs_is_unavailable_within_5_s_and_nothing_is_stored() {
    let fixture = Fixture::redis().await;
    let (server, shop) = (fixture.server().unwrap(), Shop::on(fixture.manager()));
    let _held = hold(fixture.another_manager(), 7).await;
    server.pause();
    let begun = Instant::now();
    let error = ship(&shop, 7, "hopeless".into(), Act::Note).await.unwrap_err();
    assert!(begun.elapsed() <= ANSWER, "it took {:?}", begun.elapsed());
    assert!(
        matches!(&error, ShopError::Lock(error) if error.is_unavailable()),
        "{error:?}"
    );
    server.resume();
    // What is answered now comes after whatever the call left on its way.
    let locks = fixture.builder().connect().await.unwrap();
    assert_eq!(counts(&locks).await, [0; 4]);
    assert_eq!(shop.begun(), [""; 0]);
}

#[tokio::test]
async fn a_backend_that_is_gone_is_unavailable_within_5_s() {
    let mut server = RedisServer::start();
    let locks = LockManager::connect(&server.url()).await.unwrap();
    let shop = Shop::on(&locks);
    server.kill();
    let begun = Instant::now();
    let error = ship(&shop, 7, "hopeless".into(), Act::Note).await.unwrap_err();
    assert!(begun.elapsed() <= ANSWER, "it took {:?}", begun.elapsed());
    assert!(
        matches!(&error, ShopError::Lock(error) if error.is_unavailable()),
        "{error:?}"
    );
    assert_eq!(shop.begun(), [""; 0]);
    let begun = Instant::now();
    let error = locks.queue().counts().await.unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");
    assert!(begun.elapsed() <= ANSWER, "it took {:?}", begun.elapsed());
    server.restart();
    eventually("the manager is back", LATE, async || {
        locks.queue().counts().await.is_ok()
    })
    .await;
    assert_eq!(counts(&locks).await, [0; 4]);
}

#[tokio::test]
async fn a_manager_that_is_shut_down_stores_nothing() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let _held = hold(fixture.another_manager(), 7).await;
        fixture.manager().shutdown(SOON).await;
        let error = ship(&shop, 7, "too late".into(), Act::Note).await.unwrap_err();
        assert!(
            matches!(&error, ShopError::Lock(error) if error.is_unavailable()),
            "{error:?}"
        );
        assert_eq!(counts(fixture.another_manager()).await, [0; 4]);
    })
    .await;
}

#[tokio::test]
async fn an_argument_that_does_not_serialize_is_no_hindrance_where_the_lock_is_free() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let outcome = ship_unspeakable(&shop, 7, crate::functions::Unspeakable).await;
        assert_eq!(outcome.unwrap(), Outcome::Done(7));
    })
    .await;
}
