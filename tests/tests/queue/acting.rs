//! Acting on stored calls: cancelling, sending dead letters back, forgetting them.

use std::time::Duration;

use lock_runtime::{CallEnd, Cancellation, DeathCause, Ticket};
use lock_tests::{Fixture, each_backend, eventually};

use crate::functions::ship_hastily;
use crate::support::{Act, SOON, Shop, counts, dead, done, end, hold, hold_key, ms, no_violation, stored, waiting};

#[tokio::test]
async fn a_cancelled_call_never_runs() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let queue = fixture.manager().queue();
        let guard = hold(fixture.another_manager(), 7).await;
        shop.store(7, "first", Act::Note).await;
        let ticket = shop.store(7, "cancelled", Act::Note).await;
        let last = shop.store(7, "last", Act::Note).await;
        assert_eq!(queue.cancel(ticket).await.unwrap(), Cancellation::Cancelled);
        assert_eq!(queue.get(ticket).await.unwrap(), None);
        assert_eq!(waiting(fixture.manager()).await, 2);
        assert_eq!(end(fixture.manager(), ticket).await, CallEnd::Cancelled);
        let worker = shop.work(fixture.manager());
        guard.release().await.unwrap();
        done(fixture.manager(), last).await;
        assert_eq!(shop.begun(), ["first", "last"]);
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn the_next_call_runs_when_the_first_of_its_key_is_cancelled() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let guard = hold(fixture.another_manager(), 7).await;
        let first = shop.store(7, "cancelled", Act::Note).await;
        let last = shop.store(7, "last", Act::Note).await;
        let worker = shop.work(fixture.manager());
        fixture.manager().queue().cancel(first).await.unwrap();
        guard.release().await.unwrap();
        done(fixture.manager(), last).await;
        assert_eq!(shop.begun(), ["last"]);
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_call_that_runs_is_not_cancelled_and_goes_on() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let ticket = shop.store_free(7, "gate", Act::Gate).await;
        let worker = shop.work(fixture.manager());
        shop.until_inside(1).await;
        let queue = fixture.another_manager().queue();
        assert_eq!(queue.cancel(ticket).await.unwrap(), Cancellation::Running);
        shop.open(1);
        done(fixture.manager(), ticket).await;
        assert_eq!(shop.ended(), ["gate"]);
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn cancelling_a_call_that_has_ended_finds_nothing_and_cancelling_twice_says_the_same_twice() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let queue = fixture.manager().queue();
        let worker = shop.work(fixture.manager());
        let ticket = shop.store_free(7, "call", Act::Note).await;
        done(fixture.manager(), ticket).await;
        assert_eq!(queue.cancel(ticket).await.unwrap(), Cancellation::NotFound);
        assert_eq!(end(fixture.manager(), ticket).await, CallEnd::Done);

        let _held = hold(fixture.another_manager(), 8).await;
        let ticket = shop.store(8, "call", Act::Note).await;
        // As after a lost reply: it will not run, whichever of the two did it.
        for _ in 0..2 {
            assert_eq!(queue.cancel(ticket).await.unwrap(), Cancellation::Cancelled);
        }
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_dead_letter_that_is_cancelled_is_forgotten() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let queue = fixture.manager().queue();
        let worker = shop.work(fixture.manager());
        let ticket = shop.store_free(7, "bad", Act::Fail("no stock".into())).await;
        dead(fixture.manager(), ticket).await;
        assert_eq!(queue.cancel(ticket).await.unwrap(), Cancellation::Cancelled);
        assert_eq!(counts(fixture.manager()).await, [0; 4]);
        assert_eq!(queue.get(ticket).await.unwrap(), None);
        assert_eq!(end(fixture.manager(), ticket).await, CallEnd::Cancelled);
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_dead_letter_that_is_sent_back_runs_again_after_the_calls_of_its_key() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let queue = fixture.manager().queue();
        let worker = shop.work(fixture.manager());
        let ticket = shop.store_free(7, "bad", Act::Fail("no stock".into())).await;
        let first = dead(fixture.manager(), ticket).await;
        worker.stop().await;

        let guard = hold(fixture.another_manager(), 7).await;
        shop.store(7, "meanwhile", Act::Note).await;
        assert!(queue.send_back(ticket).await.unwrap());
        let call = stored(fixture.manager(), ticket).await;
        assert_eq!((call.cause(), call.tried()), (None, 0), "{call:?}");
        assert_eq!(counts(fixture.manager()).await[3], 0);
        let last = shop.store(7, "last", Act::Note).await;
        guard.release().await.unwrap();
        let worker = shop.work(fixture.manager());
        done(fixture.manager(), last).await;
        assert_eq!(shop.begun(), ["bad", "meanwhile", "bad", "last"]);
        let second = dead(fixture.manager(), ticket).await;
        assert!(second.died_at() > first.died_at());
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_call_that_is_sent_back_runs_soon_where_its_lock_is_free() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let worker = shop.work(fixture.manager());
        let ticket = shop.store_free(7, "bad", Act::Fail("no stock".into())).await;
        dead(fixture.manager(), ticket).await;
        assert!(fixture.another_manager().queue().send_back(ticket).await.unwrap());
        let twice = async || shop.runs("bad") == 2;
        eventually("it runs again", SOON, twice).await;
        dead(fixture.manager(), ticket).await;
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_call_that_is_sent_back_has_all_its_attempts_again() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let guard = hold_key(fixture.another_manager(), "hasty:7").await;
        let outcome = ship_hastily(&shop, 7, "slow".into(), Act::Hang).await.unwrap();
        let ticket = outcome.ticket().unwrap();
        guard.release().await.unwrap();
        let worker = shop.work(fixture.manager());
        dead(fixture.manager(), ticket).await;
        assert_eq!(shop.runs("slow"), 3);
        assert!(fixture.manager().queue().send_back(ticket).await.unwrap());
        let call = dead(fixture.manager(), ticket).await;
        assert_eq!((call.cause(), call.tried()), (Some(DeathCause::Exhausted), 3));
        assert_eq!(shop.runs("slow"), 6);
        no_violation(&shop);
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn only_dead_letters_are_sent_back() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let queue = fixture.manager().queue();
        let worker = shop.work(fixture.manager());
        let gone = shop.store_free(1, "done", Act::Note).await;
        done(fixture.manager(), gone).await;
        let runs = shop.store_free(2, "runs", Act::Gate).await;
        shop.until_inside(1).await;
        let _held = hold(fixture.another_manager(), 3).await;
        let waits = shop.store(3, "waits", Act::Note).await;
        for ticket in [gone, runs, waits] {
            assert!(!queue.send_back(ticket).await.unwrap());
        }
        assert_eq!(queue.send_back_all().await.unwrap(), 0);
        shop.open(1);
        done(fixture.manager(), runs).await;
        assert_eq!(shop.begun(), ["done", "runs"]);
        worker.stop().await;
    })
    .await;
}

/// So many dead letters, on keys of their own.
async fn dead_letters(fixture: &Fixture, shop: &Shop, count: u64) -> Vec<Ticket> {
    let worker = shop.work(fixture.manager());
    let mut tickets = Vec::new();
    for order in 0..count {
        let name = format!("bad {order}");
        tickets.push(shop.store_free(order, &name, Act::Fail("no stock".into())).await);
    }
    for ticket in &tickets {
        dead(fixture.manager(), *ticket).await;
    }
    worker.stop().await;
    tickets
}

#[tokio::test]
async fn all_dead_letters_are_sent_back_at_once() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let tickets = dead_letters(&fixture, &shop, 12).await;
        let queue = fixture.manager().queue();
        assert_eq!(queue.send_back_all().await.unwrap(), 12);
        assert_eq!(counts(fixture.manager()).await[3], 0);
        assert_eq!(waiting(fixture.manager()).await, 12);
        let worker = shop.work(fixture.manager());
        for ticket in tickets {
            dead(fixture.manager(), ticket).await;
        }
        assert_eq!(shop.begun().len(), 24);
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn dead_letters_older_than_that_are_forgotten() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let old = dead_letters(&fixture, &shop, 3).await;
        let queue = fixture.manager().queue();
        assert_eq!(queue.purge(Duration::from_secs(3600)).await.unwrap(), 0);
        assert_eq!(queue.purge(Duration::MAX).await.unwrap(), 0);
        assert_eq!(counts(fixture.manager()).await[3], 3);
        let last = queue.dead_letters(0, 1).await.unwrap()[0].died_at().unwrap();
        tokio::time::sleep(ms(1_500)).await;
        let fresh = dead_letters(&fixture, &shop, 1).await.remove(0);
        // The servers' clock is this machine's: a moment between the one and the others.
        let between = last + ms(750);
        assert_eq!(queue.purge(between.elapsed().unwrap()).await.unwrap(), 3);
        for ticket in old {
            assert_eq!(queue.get(ticket).await.unwrap(), None);
            assert_eq!(end(fixture.manager(), ticket).await, CallEnd::Cancelled);
        }
        assert_eq!(queue.dead_letters(0, 10).await.unwrap()[0].ticket(), fresh);
        assert_eq!(queue.purge(Duration::ZERO).await.unwrap(), 1);
        assert_eq!(counts(fixture.manager()).await, [0; 4]);
    })
    .await;
}

#[tokio::test]
async fn forgetting_dead_letters_leaves_calls_alone_that_wait() {
    each_backend(async |fixture: Fixture| {
        let shop = Shop::on(fixture.manager());
        let _held = hold(fixture.another_manager(), 7).await;
        shop.store(7, "waits", Act::Note).await;
        assert_eq!(fixture.manager().queue().purge(Duration::ZERO).await.unwrap(), 0);
        assert_eq!(counts(fixture.manager()).await, [0, 1, 0, 0]);
    })
    .await;
}
