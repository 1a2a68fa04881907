//! How often a call is tried whose lock stays taken: at most as often as it says, with growing pauses; then it is a
//! dead letter. Under tokio's paused clock, where the in-process store lives in virtual time, and in short on every
//! backend.

use std::time::Duration;

use lock_runtime::{CallEnd, DeathCause, LockManager, QueuedCall, Ticket};
use lock_tests::{Fixture, each_backend};
use tokio::time::Instant;

use crate::functions::{ship_patiently, ship_soon};
use crate::support::{Act, Shop, counts, dead, done, hold, ms, stored};

const HOUR: Duration = Duration::from_secs(3600);

/// The moments (since now, in virtual time) at which the call was seen to have been tried once more, until it is dead.
async fn tries(locks: &LockManager, ticket: Ticket) -> (Vec<Duration>, QueuedCall) {
    let (begun, mut moments) = (Instant::now(), Vec::new());
    loop {
        let call = stored(locks, ticket).await;
        while moments.len() < usize::try_from(call.tried()).unwrap() {
            moments.push(begun.elapsed());
        }
        if call.cause().is_some() {
            return (moments, call);
        }
        assert!(begun.elapsed() < 100 * HOUR, "tried at {moments:?}, and then no more");
        tokio::time::sleep(ms(20)).await;
    }
}

/// A lock that is taken for longer than any test lives, in virtual time too.
async fn hold_for_days(locks: &LockManager) -> lock_runtime::LockGuard {
    let lock = locks.lock("order:7").ttl(1000 * HOUR).never_renew();
    lock.acquire().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_lock_stays_taken_is_tried_as_often_as_it_says_with_growing_pauses() {
    let locks = LockManager::in_memory();
    let shop = Shop::on(&locks);
    let _held = hold_for_days(&locks).await;
    let stored = ship_patiently(&shop, 7, "patient".into()).await.unwrap();
    let worker = shop.work(&locks);
    let (moments, call) = tries(&locks, stored.ticket().unwrap()).await;

    assert_eq!(moments.len(), 7, "{moments:?}");
    let (first, pauses) = (moments[0], moments.windows(2).map(|pair| pair[1] - pair[0]));
    let pauses: Vec<Duration> = pauses.collect();
    assert!(
        first >= ms(450),
        "the first pause is shorter than the delay: {moments:?}"
    );
    assert!(
        pauses.iter().all(|pause| *pause >= ms(450)),
        "a pause is shorter than the delay: {pauses:?}"
    );
    let (early, late): (Duration, Duration) = (pauses[..2].iter().sum(), pauses[pauses.len() - 2..].iter().sum());
    assert!(late > early * 2, "the pauses do not grow: {pauses:?}");

    assert_eq!(call.cause(), Some(DeathCause::Exhausted));
    assert_eq!((call.tried(), call.attempts()), (7, 7));
    assert_eq!(shop.begun(), [""; 0]);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_pauses_between_attempts_have_a_cap() {
    let locks = LockManager::in_memory();
    let shop = Shop::on(&locks);
    let _held = hold_for_days(&locks).await;
    // Twenty attempts from a second on: if each pause were twice the one before, it would be a week.
    crate::functions::ship_by_default(&shop, 7).await.unwrap();
    let worker = shop.work(&locks);
    let queue = locks.queue();
    let begun = Instant::now();
    while counts(&locks).await != [0, 0, 0, 1] {
        assert!(begun.elapsed() < 100 * HOUR);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(begun.elapsed() < 24 * HOUR, "{:?}", begun.elapsed());
    let call = queue.dead_letters(0, 1).await.unwrap().remove(0);
    assert_eq!((call.cause(), call.tried()), (Some(DeathCause::Exhausted), 20));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_pauses_of_calls_that_were_stored_together_differ() {
    let locks = LockManager::in_memory();
    let shop = Shop::on(&locks);
    let mut guards = Vec::new();
    let mut tickets = Vec::new();
    for order in 0..8 {
        let lock = locks.lock(crate::support::key(order)).ttl(1000 * HOUR).never_renew();
        guards.push(lock.acquire().await.unwrap());
        let outcome = ship_patiently(&shop, order, format!("call {order}")).await.unwrap();
        tickets.push(outcome.ticket().unwrap());
    }
    let worker = shop.work(&locks);
    let mut ends = Vec::new();
    for ticket in tickets {
        let call = tries(&locks, ticket).await.1;
        ends.push(call.died_at().unwrap());
    }
    ends.sort();
    ends.dedup();
    assert!(ends.len() > 4, "the calls march in step: {ends:?}");
    worker.stop().await;
}

#[tokio::test]
async fn an_exhausted_call_is_a_dead_letter_with_its_last_error() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let _held = hold(fixture.another_manager(), 7).await;
        let outcome = ship_soon(&shop, 7, "hopeless".into(), Act::Note).await.unwrap();
        let worker = shop.work(fixture.manager());
        let call = dead(fixture.manager(), outcome.ticket().unwrap()).await;
        assert_eq!(call.cause(), Some(DeathCause::Exhausted));
        assert_eq!((call.tried(), call.attempts()), (3, 3));
        let error = call.last_error().unwrap();
        assert!(error.contains("order:7"), "{error}");
        assert_eq!(shop.begun(), [""; 0]);
        assert_eq!(counts(fixture.manager()).await, [0, 0, 0, 1]);
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn an_exhausted_call_lets_the_next_one_for_its_key_run() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let guard = hold(fixture.another_manager(), 7).await;
        let first = ship_soon(&shop, 7, "hopeless".into(), Act::Note).await.unwrap();
        let second = shop.store(7, "patient", Act::Note).await;
        let worker = shop.work(fixture.manager());
        dead(fixture.manager(), first.ticket().unwrap()).await;
        guard.release().await.unwrap();
        done(fixture.manager(), second).await;
        assert_eq!(shop.ended(), ["patient"]);
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_call_that_ran_in_the_end_was_not_exhausted_by_its_attempts_before() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let guard = hold(fixture.another_manager(), 7).await;
        let outcome = ship_soon(&shop, 7, "late".into(), Act::Note).await.unwrap();
        let ticket = outcome.ticket().unwrap();
        let worker = shop.work(fixture.manager());
        let queue = fixture.manager().queue();
        let once = async || {
            let call = queue.get(ticket).await.unwrap();
            call.is_some_and(|call| call.tried() == 1 && call.last_error().is_some())
        };
        lock_tests::eventually("it was tried once", crate::support::SOON, once).await;
        guard.release().await.unwrap();
        assert_eq!(queue.wait(ticket).await.unwrap(), CallEnd::Done);
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn being_woken_too_early_costs_no_attempt() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let mut guard = hold(fixture.another_manager(), 7).await;
        let ticket = shop.store(7, "call", Act::Note).await;
        let worker = shop.work(fixture.manager());
        // It has twenty attempts, and each release wakes it.
        for _ in 0..60 {
            if !shop.begun().is_empty() {
                break;
            }
            tokio::time::sleep(ms(5)).await;
            guard.release().await.unwrap();
            guard = hold(fixture.another_manager(), 7).await;
        }
        if shop.begun().is_empty() {
            assert_eq!(stored(fixture.manager(), ticket).await.tried(), 0);
        }
        guard.release().await.unwrap();
        done(fixture.manager(), ticket).await;
        worker.stop().await;
    })
    .await;
}
