//! Looking at stored calls: how many, which, where they stand, and how one ended.

use std::collections::HashSet;
use std::time::{Duration, Instant, SystemTime};

use lock_runtime::{CallEnd, CallState, Cancellation, DeathCause, LockManager, Ticket};
use lock_tests::{Fixture, each_backend, eventually};

use crate::functions::ship_soon;
use crate::support::{Act, SOON, Shop, counts, dead, done, end, hold, key, ms, soon};

/// A ticket of a call that never was.
fn a_strangers_ticket() -> Ticket {
    "3f0e3c4e-8f6b-4d0e-9d4e-5a4c1c1d2b3a".parse().unwrap()
}

#[tokio::test]
async fn calls_are_counted_by_state() {
    each_backend(async |fixture: Fixture| {
        let locks = fixture.manager();
        let shop = Shop::on(locks);
        assert_eq!(counts(locks).await, [0; 4]);
        assert_eq!(locks.queue().counts().await.unwrap().oldest_due, None);

        let worker = shop.work(locks);
        let bad = shop.store_free(1, "bad", Act::Fail("no stock".into())).await;
        dead(locks, bad).await;
        shop.store_free(2, "runs", Act::Gate).await;
        shop.until_inside(1).await;
        let _three = hold(fixture.another_manager(), 3).await;
        shop.store(3, "waits", Act::Note).await;
        shop.store(3, "waits too", Act::Note).await;
        let [due, delayed, running, dead] = counts(fixture.another_manager()).await;
        // The second waits for the first, whether that counts as due or not.
        assert_eq!((due + delayed, running, dead), (2, 1, 1));
        assert!(delayed >= 1);
        shop.open(1);
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_call_whose_time_has_come_is_due_and_its_age_is_known() {
    each_backend(async |fixture: Fixture| {
        let locks = fixture.manager();
        let shop = Shop::on(locks);
        let _held = hold(fixture.another_manager(), 7).await;
        let _other = hold(fixture.another_manager(), 8).await;
        let outcome = ship_soon(&shop, 7, "soon".into(), Act::Note).await.unwrap();
        shop.store(8, "in an hour", Act::Note).await;
        eventually("its time has come", SOON, async || counts(locks).await == [1, 1, 0, 0]).await;
        let queue = locks.queue();
        let page = queue.list(CallState::Due, 0, 10).await.unwrap();
        assert_eq!(page.len(), 1);
        assert_eq!(Some(page[0].ticket()), outcome.ticket());
        assert_eq!(page[0].state(), CallState::Due);
        let age = queue.counts().await.unwrap().oldest_due.unwrap();
        assert!(age < SOON, "{age:?}");
        eventually("it gets older", SOON, async || {
            let oldest = queue.counts().await.unwrap().oldest_due;
            oldest.is_some_and(|oldest| oldest > age + ms(20))
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn calls_are_listed_by_state_with_what_they_are() {
    each_backend(async |fixture: Fixture| {
        let locks = fixture.manager();
        let shop = Shop::on(locks);
        let _held = hold(fixture.another_manager(), 7).await;
        let before = SystemTime::now() - ms(1_000);
        let ticket = shop.store(7, "call", Act::Note).await;
        let queue = locks.queue();
        let page = queue.list(CallState::Delayed, 0, 10).await.unwrap();
        assert_eq!(page.len(), 1);
        let call = &page[0];
        assert_eq!((call.claimed_until(), call.died_at()), (None, None));
        assert_eq!(Some(call), queue.get(ticket).await.unwrap().as_ref());
        assert_eq!(call.ticket(), ticket);
        assert_eq!(call.key().as_str(), key(7));
        assert_eq!((call.tried(), call.attempts()), (0, 20));
        assert!(call.stored_at() >= before && call.stored_at() <= SystemTime::now() + ms(1_000));
        let delay = call
            .next_attempt_at()
            .unwrap()
            .duration_since(call.stored_at())
            .unwrap();
        let hour = Duration::from_secs(3600);
        assert!(delay > hour / 2 && delay <= hour + hour / 2, "{delay:?}");
        for other in [CallState::Due, CallState::Running, CallState::Dead] {
            assert_eq!(queue.list(other, 0, 10).await.unwrap(), []);
        }
        assert_eq!(queue.dead_letters(0, 10).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn pages_cover_all_calls_of_a_state_once_the_earliest_first() {
    each_backend(async |fixture: Fixture| {
        let locks = fixture.manager();
        let shop = Shop::on(locks);
        let mut guards = Vec::new();
        let mut tickets = HashSet::new();
        for order in 0..25 {
            guards.push(hold(fixture.another_manager(), order).await);
            tickets.insert(shop.store(order, &format!("call {order}"), Act::Note).await);
        }
        let queue = locks.queue();
        let mut seen = Vec::new();
        for offset in [0, 10, 20, 30] {
            let page = queue.list(CallState::Delayed, offset, 10).await.unwrap();
            assert_eq!(
                page.len(),
                if offset < 20 {
                    10
                } else {
                    25_usize.saturating_sub(offset as usize)
                }
            );
            seen.extend(page);
        }
        assert!(seen.is_sorted_by_key(lock_runtime::QueuedCall::next_attempt_at));
        assert_eq!(
            seen.iter()
                .map(lock_runtime::QueuedCall::ticket)
                .collect::<HashSet<_>>(),
            tickets
        );
        assert_eq!(queue.list(CallState::Delayed, 0, 0).await.unwrap(), []);
        assert_eq!(queue.list(CallState::Delayed, 0, u32::MAX).await.unwrap().len(), 25);
    })
    .await;
}

#[tokio::test]
async fn dead_letters_are_listed_the_latest_first() {
    each_backend(async |fixture: Fixture| {
        let locks = fixture.manager();
        let shop = Shop::on(locks);
        let worker = shop.work(locks);
        for name in ["a", "b", "c"] {
            let ticket = shop.store_free(7, name, Act::Fail(format!("no {name}"))).await;
            dead(locks, ticket).await;
            // Another millisecond: what died in one has no order.
            tokio::time::sleep(ms(3)).await;
        }
        let letters = locks.queue().dead_letters(0, 2).await.unwrap();
        let errors: Vec<_> = letters.iter().map(|call| call.last_error().unwrap()).collect();
        assert_eq!(errors, ["the shop cannot: no c", "the shop cannot: no b"]);
        let rest = locks.queue().dead_letters(2, 2).await.unwrap();
        assert_eq!(rest.len(), 1);
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_ticket_that_never_was_is_unknown_to_everybody() {
    each_backend(async |fixture: Fixture| {
        let (queue, ticket) = (fixture.manager().queue(), a_strangers_ticket());
        assert_eq!(queue.get(ticket).await.unwrap(), None);
        assert_eq!(end(fixture.manager(), ticket).await, CallEnd::Unknown);
        assert_eq!(queue.cancel(ticket).await.unwrap(), Cancellation::NotFound);
        assert!(!queue.send_back(ticket).await.unwrap());
    })
    .await;
}

/// Waits for the end of a call from the moment it is stored, while `act` brings it about.
async fn waited_for(locks: &LockManager, ticket: Ticket, act: impl Future<Output = ()>) -> CallEnd {
    let queue = locks.queue();
    let mut wait = Box::pin(queue.wait(ticket));
    let early = tokio::time::timeout(ms(200), wait.as_mut()).await;
    assert!(early.is_err(), "{early:?}");
    act.await;
    soon("the wait is over", wait).await.unwrap()
}

#[tokio::test]
async fn who_waits_for_a_call_hears_that_it_is_done() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let guard = hold(fixture.another_manager(), 7).await;
        let ticket = shop.store(7, "call", Act::Note).await;
        let worker = shop.work(fixture.manager());
        let end = waited_for(fixture.another_manager(), ticket, async {
            guard.release().await.unwrap();
        });
        assert_eq!(end.await, CallEnd::Done);
        // And so does who comes later.
        assert_eq!(crate::support::end(fixture.manager(), ticket).await, CallEnd::Done);
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn who_waits_for_a_call_hears_that_it_is_dead_and_why() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let guard = hold(fixture.another_manager(), 7).await;
        let ticket = shop.store(7, "call", Act::Fail("no stock".into())).await;
        let worker = shop.work(fixture.manager());
        let end = waited_for(fixture.another_manager(), ticket, async {
            guard.release().await.unwrap();
        });
        let CallEnd::Dead { cause, error, .. } = end.await else {
            panic!("it is dead");
        };
        assert_eq!(cause, DeathCause::Failed);
        assert!(error.contains("no stock"), "{error}");
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn who_waits_for_a_call_hears_that_it_was_cancelled() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let _held = hold(fixture.another_manager(), 7).await;
        let ticket = shop.store(7, "call", Act::Note).await;
        let end = waited_for(fixture.another_manager(), ticket, async {
            fixture.manager().queue().cancel(ticket).await.unwrap();
        });
        assert_eq!(end.await, CallEnd::Cancelled);
        assert_eq!(crate::support::end(fixture.manager(), ticket).await, CallEnd::Cancelled);
    })
    .await;
}

#[tokio::test]
async fn who_waits_is_told_of_the_end_at_once() {
    each_backend(async |fixture: Fixture| {
        const ROUNDS: u32 = 6;
        let shop = Shop::on(fixture.manager());
        let worker = shop.work(fixture.manager());
        let mut waited = Duration::ZERO;
        for _ in 0..ROUNDS {
            let guard = hold(fixture.another_manager(), 7).await;
            let ticket = shop.store(7, "call", Act::Note).await;
            let mut released = Instant::now();
            let end = waited_for(fixture.another_manager(), ticket, async {
                released = Instant::now();
                guard.release().await.unwrap();
            });
            assert_eq!(end.await, CallEnd::Done);
            waited += released.elapsed();
        }
        // Looking now and then would take longer.
        assert!(waited < ROUNDS * ms(1_000), "{waited:?}");
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_wait_that_is_given_up_leaves_the_call_alone() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let guard = hold(fixture.another_manager(), 7).await;
        let ticket = shop.store(7, "call", Act::Note).await;
        let queue = fixture.manager().queue();
        assert!(tokio::time::timeout(ms(100), queue.wait(ticket)).await.is_err());
        guard.release().await.unwrap();
        let worker = shop.work(fixture.manager());
        done(fixture.manager(), ticket).await;
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn many_wait_for_one_call() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let guard = hold(fixture.another_manager(), 7).await;
        let ticket = shop.store(7, "call", Act::Note).await;
        let waiters: Vec<_> = (0..10)
            .map(|number| {
                let locks = [fixture.manager(), fixture.another_manager()][number % 2];
                let queue = locks.queue();
                tokio::spawn(async move { queue.wait(ticket).await })
            })
            .collect();
        let worker = shop.work(fixture.manager());
        guard.release().await.unwrap();
        for waiter in waiters {
            assert_eq!(soon("the wait is over", waiter).await.unwrap().unwrap(), CallEnd::Done);
        }
        worker.stop().await;
    })
    .await;
}

#[test]
fn a_ticket_survives_its_text_and_its_json() {
    let ticket = a_strangers_ticket();
    assert_eq!(ticket.to_string().parse::<Ticket>().unwrap(), ticket);
    let json = serde_json::to_string(&ticket).unwrap();
    assert_eq!(json, format!("\"{ticket}\""));
    assert_eq!(serde_json::from_str::<Ticket>(&json).unwrap(), ticket);
    let error = "42".parse::<Ticket>().unwrap_err();
    assert!(error.to_string().contains("UUID"), "{error}");
    serde_json::from_str::<Ticket>("\"42\"").unwrap_err();
}

#[tokio::test]
async fn a_ticket_that_was_sent_as_json_still_finds_its_call() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let _held = hold(fixture.another_manager(), 7).await;
        let ticket = shop.store(7, "call", Act::Note).await;
        let answer = serde_json::to_string(&ticket).unwrap();
        let ticket: Ticket = serde_json::from_str(&answer).unwrap();
        let call = fixture.another_manager().queue().get(ticket).await.unwrap();
        assert_eq!(call.unwrap().ticket(), ticket);
    })
    .await;
}
