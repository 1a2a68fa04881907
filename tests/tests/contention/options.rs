//! Waiters of one lock with options of their own: each gets what it asked for, whoever had the lock before it.

use std::time::{Duration, Instant};

use lock_runtime::{LockManager, LockRequest, LostReason};
use lock_tests::{Fixture, each_backend, eventually};

use crate::support::{LATE, LONG, SOON, ask, ask_all, drift, hold, job, manager, ms, soon, until_they_wait, within};

/// What a waiter asks for, and the ttl in it.
type Wish = (fn(LockRequest) -> LockRequest, Duration);

/// Different wishes, next to each other in every order.
const WISHES: &[Wish] = &[
    (|lock| lock.ttl(ms(2000)), ms(2000)),
    (|lock| lock.ttl(ms(2000)).never_renew(), ms(2000)),
    (|lock| lock.ttl(ms(2000)).never_renew(), ms(2000)),
    (|lock| lock.ttl(ms(2000)), ms(2000)),
    (|lock| lock.ttl(ms(2000)).max_hold(ms(2500)), ms(2000)),
    (|lock| lock.ttl(ms(2000)), ms(2000)),
    (|lock| lock.ttl(ms(20_000)), ms(20_000)),
    (|lock| lock.ttl(ms(1000)).never_renew(), ms(1000)),
    (|lock| lock.ttl(ms(20_000)).never_renew(), ms(20_000)),
    (|lock| lock.ttl(ms(1000)), ms(1000)),
    (|lock| lock.ttl(ms(1000)).renew_every(ms(500)), ms(1000)),
    (|lock| lock.ttl(ms(2000)).hold_at_least(ms(50)), ms(2000)),
    (|lock| lock.ttl(ms(2000)), ms(2000)),
];

/// Lets them all have the lock, one after the other, each for 15 ms at least; `look` sees each in its first moment, with
/// the moment in which the one before it ended.
async fn one_after_the_other(
    fixture: &Fixture,
    locks: &LockManager,
    look: impl Fn(usize, &lock_runtime::LockGuard, Instant),
) {
    let guard = hold(fixture.another_manager()).await;
    let waiting = ask_all(fixture, WISHES.iter().map(|(wish, _)| wish(job(locks)))).await;
    let mut ended = Instant::now();
    guard.release().await.unwrap();
    for (number, call) in waiting.into_iter().enumerate() {
        let guard = soon("the next is served", call).await.unwrap();
        look(number, &guard, ended);
        tokio::time::sleep(ms(15)).await;
        ended = Instant::now();
        guard.release().await.unwrap();
    }
}

#[tokio::test]
async fn the_remaining_time_is_right_from_the_first_moment() {
    each_backend(async |fixture: Fixture| {
        for hand_over in [true, false] {
            println!("on {}, hand-over: {hand_over}", fixture.name());
            let locks = manager(&fixture, hand_over).await;
            one_after_the_other(&fixture, &locks, |number, guard, _| {
                let (ttl, left) = (WISHES[number].1, guard.lease().remaining());
                assert!(guard.lease().is_held());
                assert!(left <= ttl - drift(ttl), "{number}: {left:?} of {ttl:?} are left");
                // A server that gives the lock on may give a short time first, which is renewed at once.
                let least = ttl.min(ms(2000)) / 3;
                assert!(left >= least, "{number}: {left:?} of {ttl:?} are left");
            })
            .await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_waiters_lease_has_its_own_ttl_soon_after_it_began() {
    each_backend(async |fixture: Fixture| {
        for hand_over in [true, false] {
            let locks = manager(&fixture, hand_over).await;
            let guard = hold(fixture.another_manager()).await;
            let ttl = Duration::from_secs(60);
            let requests = [60, 60, 20, 60].map(|ttl| job(&locks).ttl(Duration::from_secs(ttl)));
            let waiting = ask_all(&fixture, requests).await;
            guard.release().await.unwrap();
            for (number, call) in waiting.into_iter().enumerate() {
                let guard = soon("the next is served", call).await.unwrap();
                let ttl = if number == 2 { ttl / 3 } else { ttl };
                eventually("it has its whole ttl", SOON, async || {
                    guard.lease().remaining() > ttl * 3 / 4
                })
                .await;
                guard.release().await.unwrap();
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_lease_that_is_never_renewed_begins_when_the_one_before_it_ended() {
    each_backend(async |fixture: Fixture| {
        for hand_over in [true, false] {
            println!("on {}, hand-over: {hand_over}", fixture.name());
            let locks = manager(&fixture, hand_over).await;
            one_after_the_other(&fixture, &locks, |number, guard, ended| {
                let (ttl, left) = (WISHES[number].1, guard.lease().remaining());
                if [1, 2, 7, 8].contains(&number) {
                    let valid_until = Instant::now() + left;
                    let whole = ended + ttl - drift(ttl);
                    let short = whole.saturating_duration_since(valid_until);
                    assert!(
                        short < ttl / 10,
                        "{number}: {short:?} of its {ttl:?} were gone before it began"
                    );
                }
            })
            .await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_lease_that_is_never_renewed_has_its_whole_ttl_however_long_its_caller_waited() {
    each_backend(async |fixture: Fixture| {
        for hand_over in [true, false] {
            let ttl = ms(1000);
            let locks = manager(&fixture, hand_over).await;
            for holder in [&locks, fixture.another_manager()] {
                println!("on {}, hand-over: {hand_over}", fixture.name());
                let guard = hold(holder).await;
                let waiting = ask(job(&locks).ttl(ttl).never_renew());
                until_they_wait(&fixture, 1).await;
                tokio::time::sleep(ms(800)).await;
                let ended = Instant::now();
                guard.release().await.unwrap();
                let guard = soon("it is served", waiting).await.unwrap();
                let valid_until = Instant::now() + guard.lease().remaining();
                let short = (ended + ttl - drift(ttl)).saturating_duration_since(valid_until);
                assert!(short < ttl / 10, "{short:?} of its {ttl:?} were gone before it began");
                guard.release().await.unwrap();
            }
        }
    })
    .await;
}

#[tokio::test]
async fn the_server_knows_the_ttl_of_the_present_holder() {
    let fixture = Fixture::redis().await;
    let server = fixture.server().unwrap();
    for hand_over in [true, false] {
        let locks = manager(&fixture, hand_over).await;
        one_after_the_other(&fixture, &locks, |number, guard, _| {
            let (ttl, left) = (WISHES[number].1, guard.lease().remaining());
            let on_server = server.ttl("lock:job").expect("a held lock has a ttl");
            assert!(
                on_server <= ttl,
                "{number}: {on_server:?} on the server, and its ttl is {ttl:?}"
            );
            // Its owner must not believe in it for longer than the server does. (It looked first.)
            assert!(
                left <= on_server + ms(100),
                "{number}: {left:?} here, {on_server:?} on the server"
            );
        })
        .await;
    }
}

#[tokio::test]
async fn a_lease_that_is_never_renewed_ends_after_its_ttl_also_behind_others() {
    each_backend(async |fixture: Fixture| {
        let locks = manager(&fixture, true).await;
        let guard = hold(fixture.another_manager()).await;
        let ttl = ms(1500);
        let before = ask(job(&locks).ttl(ttl));
        until_they_wait(&fixture, 1).await;
        let never = ask(job(&locks).ttl(ttl).never_renew());
        let behind = ask(job(&locks).ttl(ttl));
        guard.release().await.unwrap();
        soon("the one before", before).await.unwrap().release().await.unwrap();
        let never = soon("the one", never).await.unwrap();
        let began = Instant::now();
        let behind = within(ttl + SOON, "the one behind", behind).await.unwrap();
        assert!(began.elapsed() >= ttl / 2, "after {:?}", began.elapsed());
        assert!(!never.lease().is_held(), "two hold the lock");
        assert_eq!(soon("the loss", never.lease().lost()).await, LostReason::Expired);
        assert!(behind.fence() > never.fence());
    })
    .await;
}

#[tokio::test]
async fn max_hold_counts_from_the_hold_of_its_own() {
    each_backend(async |fixture: Fixture| {
        let locks = manager(&fixture, true).await;
        let guard = hold(fixture.another_manager()).await;
        let max_hold = ms(1200);
        let before = (0..3).map(|_| job(&locks).ttl(ms(1000)).max_hold(max_hold));
        let before = ask_all(&fixture, before).await;
        let limited = ask(job(&locks).ttl(ms(1000)).max_hold(max_hold));
        let behind = ask(job(&locks).ttl(ms(1000)));
        guard.release().await.unwrap();
        let mut ended = Instant::now();
        for call in before {
            let guard = soon("one before", call).await.unwrap();
            tokio::time::sleep(ms(25)).await;
            ended = Instant::now();
            guard.release().await.unwrap();
        }
        let limited = soon("the limited one", limited).await.unwrap();
        let reason = within(max_hold + SOON, "the loss", limited.lease().lost()).await;
        assert_eq!(reason, LostReason::MaxHold);
        let held = ended.elapsed();
        assert!(held >= max_hold - ms(1), "lost after {held:?}");
        drop(limited);
        drop(soon("the one behind", behind).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn no_max_hold_is_taken_over_from_the_hold_before() {
    each_backend(async |fixture: Fixture| {
        let locks = manager(&fixture, true).await;
        let guard = hold(fixture.another_manager()).await;
        let limited = ask(job(&locks).ttl(ms(1000)).max_hold(ms(1000)));
        until_they_wait(&fixture, 1).await;
        let free = ask(job(&locks).ttl(ms(1000)));
        guard.release().await.unwrap();
        soon("the limited one", limited).await.unwrap().release().await.unwrap();
        let free = soon("the free one", free).await.unwrap();
        let start = Instant::now();
        eventually("the other's max_hold is over", LATE, async || {
            free.lease().ensure_held().unwrap();
            start.elapsed() > ms(2200)
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn hold_at_least_keeps_the_lock_from_those_who_wait_in_the_same_process_too() {
    each_backend(async |fixture: Fixture| {
        for hand_over in [true, false] {
            let least = ms(900);
            println!("on {}, hand-over: {hand_over}", fixture.name());
            let locks = manager(&fixture, hand_over).await;
            let guard = hold(fixture.another_manager()).await;
            let before = ask(job(&locks));
            until_they_wait(&fixture, 1).await;
            let keeps = ask(job(&locks).hold_at_least(least));
            let same = ask(job(&locks));
            guard.release().await.unwrap();
            let before = soon("the one before", before).await.unwrap();
            let ended = Instant::now();
            before.release().await.unwrap();
            let keeps = soon("the one that keeps it", keeps).await.unwrap();
            let other = ask(job(fixture.manager()));
            keeps.release().await.unwrap();
            let next = futures_util::future::select(same, other);
            let (next, rest) = within(least + SOON, "the next", next).await.factor_first();
            assert!(
                ended.elapsed() >= least - ms(1),
                "the next came after {:?}",
                ended.elapsed()
            );
            next.unwrap().release().await.unwrap();
            soon("the last", rest).await.unwrap().release().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn nobody_else_keeps_the_lock_because_one_before_did() {
    each_backend(async |fixture: Fixture| {
        let locks = manager(&fixture, true).await;
        let guard = hold(fixture.another_manager()).await;
        let keeps = ask(job(&locks).hold_at_least(ms(200)));
        until_they_wait(&fixture, 1).await;
        let mut waiting: Vec<_> = (0..5).map(|_| ask(job(&locks))).collect();
        guard.release().await.unwrap();
        soon("the one that keeps it", keeps)
            .await
            .unwrap()
            .release()
            .await
            .unwrap();
        for call in waiting.drain(..) {
            soon("the next", call).await.unwrap().release().await.unwrap();
        }
        let free = locks.lock("job").ttl(LONG).try_acquire().await.unwrap();
        assert!(free.is_some(), "the lock is kept");
    })
    .await;
}
