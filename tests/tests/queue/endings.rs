//! How a body ends, and what becomes of its call: done, tried again, or a dead letter with the reason.

use std::time::SystemTime;

use lock_runtime::{CallEnd, CallState, DeathCause, Outcome};
use lock_tests::{Fixture, each_backend};

use crate::functions::{ship_hastily, ship_or_apologize, ship_soon};
use crate::support::{Act, Shop, ShopError, counts, dead, done, end, hold, hold_key, key, ms, no_violation, stored};

/// The ticket of a call that was stored.
fn ticket<T: std::fmt::Debug>(outcome: Result<Outcome<T>, ShopError>) -> lock_runtime::Ticket {
    let outcome = outcome.unwrap();
    outcome.ticket().unwrap_or_else(|| panic!("it ran: {outcome:?}"))
}

#[tokio::test]
async fn a_call_whose_body_returns_is_done_and_gone() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let ticket = shop.store_free(7, "good", Act::Note).await;
        let worker = shop.work(fixture.manager());
        done(fixture.manager(), ticket).await;
        assert_eq!(shop.runs("good"), 1);
        assert_eq!(counts(fixture.manager()).await, [0; 4]);
        assert_eq!(fixture.manager().queue().get(ticket).await.unwrap(), None);
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn an_error_of_the_body_is_a_dead_letter_with_its_text_and_is_not_tried_again() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let ticket = shop.store_free(7, "bad", Act::Fail("no stock".into())).await;
        let worker = shop.work(fixture.manager());
        let call = dead(fixture.manager(), ticket).await;
        assert_eq!(call.state(), CallState::Dead);
        assert_eq!(call.cause(), Some(DeathCause::Failed));
        let error = call.last_error().unwrap();
        assert!(error.contains("the shop cannot: no stock"), "{error}");
        let CallEnd::Dead { cause, error, .. } = end(fixture.manager(), ticket).await else {
            panic!("it is dead");
        };
        assert_eq!((cause, Some(error.as_str())), (DeathCause::Failed, call.last_error()));
        assert_eq!(call.key().as_str(), key(7));
        assert!(call.function().unwrap().ends_with("::ship"));
        assert!(call.arguments().contains("no stock"), "{}", call.arguments());
        // It dies on this machine: by this machine's clock.
        let age = SystemTime::now()
            .duration_since(call.died_at().unwrap())
            .unwrap_or_default();
        assert!(age < crate::support::SOON, "it died {age:?} ago");
        assert!(call.stored_at() <= call.died_at().unwrap());
        assert_eq!((call.next_attempt_at(), call.claimed_until()), (None, None));
        // A later call for the key is done after any further run of this one.
        let next = shop.store_free(7, "next", Act::Note).await;
        done(fixture.manager(), next).await;
        assert_eq!(shop.runs("bad"), 1);
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_panic_of_the_body_is_a_dead_letter_with_its_text_and_the_worker_goes_on() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let ticket = shop.store_free(7, "panics", Act::Panic("no sense in it".into())).await;
        let worker = shop.work(fixture.manager());
        let call = dead(fixture.manager(), ticket).await;
        assert_eq!(call.cause(), Some(DeathCause::Panicked));
        let error = call.last_error().unwrap();
        assert!(error.contains("no sense in it"), "{error}");
        assert!(worker.works());
        let next = shop.store_free(7, "next", Act::Note).await;
        done(fixture.manager(), next).await;
        assert_eq!(shop.begun(), ["panics", "next"]);
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn the_lock_is_free_soon_after_a_stored_body_ended_however_it_did() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let worker = shop.work(fixture.another_manager());
        let acts = [Act::Note, Act::Fail("no stock".into()), Act::Panic("no sense".into())];
        for (order, act) in (0..).zip(acts) {
            let ticket = shop.store_free(order, "call", act).await;
            end(fixture.manager(), ticket).await;
            // Waits less than the lock's ttl.
            hold(fixture.manager(), order).await.release().await.unwrap();
        }
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_lost_lease_lets_the_call_be_tried_again() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let guard = hold_key(fixture.another_manager(), "hasty:7").await;
        let ticket = ticket(ship_hastily(&shop, 7, "slow at first".into(), Act::HangOnce).await);
        let worker = shop.work(fixture.manager());
        guard.release().await.unwrap();
        done(fixture.manager(), ticket).await;
        assert_eq!(shop.begun(), ["slow at first", "slow at first"]);
        assert_eq!(shop.ended(), ["slow at first"]);
        no_violation(&shop);
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_lease_that_is_lost_each_time_exhausts_the_call() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let guard = hold_key(fixture.another_manager(), "hasty:7").await;
        let ticket = ticket(ship_hastily(&shop, 7, "slow".into(), Act::Hang).await);
        guard.release().await.unwrap();
        let worker = shop.work(fixture.manager());
        let call = dead(fixture.manager(), ticket).await;
        assert_eq!(call.cause(), Some(DeathCause::Exhausted));
        assert_eq!(call.tried(), 3);
        let error = call.last_error().unwrap();
        assert!(error.contains("max_hold"), "{error}");
        assert_eq!(shop.runs("slow"), 3);
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_lock_that_is_taken_away_from_a_stored_body_lets_the_call_be_tried_again() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let guard = hold_key(fixture.another_manager(), "hasty:7").await;
        let ticket = ticket(ship_hastily(&shop, 7, "robbed".into(), Act::HangOnce).await);
        guard.release().await.unwrap();
        let worker = shop.work(fixture.manager());
        shop.until_inside(1).await;
        fixture.another_manager().force_release("hasty:7").await.unwrap();
        done(fixture.manager(), ticket).await;
        assert_eq!(shop.runs("robbed"), 2);
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_compensation_that_succeeds_ends_the_call_whose_lease_was_lost() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let guard = hold_key(fixture.another_manager(), "hasty:7").await;
        let ticket = ticket(ship_or_apologize(&shop, 7, "slow".into(), true).await);
        guard.release().await.unwrap();
        let worker = shop.work(fixture.manager());
        done(fixture.manager(), ticket).await;
        assert_eq!(shop.runs("slow"), 1);
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_compensation_that_fails_makes_the_call_a_dead_letter() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let guard = hold_key(fixture.another_manager(), "hasty:7").await;
        let ticket = ticket(ship_or_apologize(&shop, 7, "slow".into(), false).await);
        guard.release().await.unwrap();
        let worker = shop.work(fixture.manager());
        let call = dead(fixture.manager(), ticket).await;
        assert_eq!(call.cause(), Some(DeathCause::Failed));
        let error = call.last_error().unwrap();
        assert!(error.contains("no apology was accepted"), "{error}");
        assert_eq!(shop.runs("slow"), 1);
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_lock_that_can_never_be_had_makes_the_call_a_dead_letter() {
    let fixture = Fixture::redis().await;
    let shop = Shop::on(fixture.manager());
    let guard = hold(fixture.another_manager(), 7).await;
    let ticket = ticket(ship_soon(&shop, 7, "call".into(), Act::Note).await);
    guard.release().await.unwrap();
    fixture.server().unwrap().cli(&["LPUSH", "lock:order:7", "a", "list"]);
    let worker = shop.work(fixture.manager());
    let call = dead(fixture.manager(), ticket).await;
    assert_eq!(call.cause(), Some(DeathCause::Refused));
    let error = call.last_error().unwrap();
    assert!(error.contains("order:7"), "{error}");
    assert_eq!(shop.begun(), [""; 0]);
    assert!(
        fixture.server().unwrap().exists("lock:order:7"),
        "the foreign key is gone"
    );
    worker.stop().await;
}

#[tokio::test]
async fn a_running_call_says_who_runs_it_and_since_which_attempt() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let ticket = shop.store_free(7, "gate", Act::Gate).await;
        let worker = shop.work(fixture.another_manager());
        shop.until_inside(1).await;
        let call = stored(fixture.manager(), ticket).await;
        assert_eq!(call.state(), CallState::Running);
        assert_eq!(call.worker(), Some("two"));
        assert_eq!(call.cause(), None);
        // The claim's end is ahead.
        assert!(call.claimed_until().unwrap() > SystemTime::now() - ms(100));
        assert_eq!((call.next_attempt_at(), call.died_at()), (None, None));
        shop.open(1);
        done(fixture.manager(), ticket).await;
        worker.stop().await;
    })
    .await;
}
