//! Waiters that give up: on time, with a conflict, and without leaving anything behind.

use std::time::{Duration, Instant};

use lock_runtime::LockRequest;
use lock_tests::{Fixture, each_backend};

use crate::support::{
    LATE, LONG, Room, SOON, all_served, ask, helper_keys, hold, job, manager, ms, soon, until_in_line, until_only,
    until_they_wait, within,
};

/// How late a conflict may come.
const SECOND: Duration = Duration::from_secs(1);

/// Waits in vain; how long that took.
async fn in_vain(request: LockRequest, wait: Duration) -> Duration {
    let begun = Instant::now();
    let error = request.wait(wait).acquire().await.unwrap_err();
    let took = begun.elapsed();
    assert!(error.is_conflict(), "{error:?}");
    assert!(took >= wait, "it gave up after {took:?}, and was to wait {wait:?}");
    took
}

#[tokio::test]
async fn each_waits_as_long_as_it_is_told_to_and_no_longer() {
    each_backend(async |fixture: Fixture| {
        for hand_over in [true, false] {
            let locks = manager(&fixture, hand_over).await;
            let _guard = hold(fixture.another_manager()).await;
            let calls = (0..30).map(|number| {
                let wait = ms([1500, 100, 700, 300, 0, 1000][number % 6]);
                let request = job(&locks);
                async move { in_vain(request, wait).await - wait }
            });
            let late = within(LATE, "all give up", futures_util::future::join_all(calls)).await;
            let latest = late.iter().max().unwrap();
            assert!(*latest < SECOND, "it gave up {latest:?} after its time");
        }
    })
    .await;
}

#[tokio::test]
async fn a_thousand_that_give_up_at_once_do_so_on_time_and_leave_nothing_behind() {
    each_backend(async |fixture: Fixture| {
        let locks = manager(&fixture, true).await;
        let helpers = match fixture.server() {
            Some(server) => helper_keys(server, &locks).await,
            None => Vec::new(),
        };
        let guard = hold(fixture.another_manager()).await;
        let wait = Duration::from_secs(2);
        let calls = (0..1000).map(|_| in_vain(job(&locks), wait));
        let took = within(LATE, "all give up", futures_util::future::join_all(calls)).await;
        let latest = *took.iter().max().unwrap() - wait;
        println!(
            "on {}: the last of a thousand gave up {latest:?} after its time",
            fixture.name()
        );
        assert!(latest < SECOND, "it gave up {latest:?} after its time");
        guard.release().await.unwrap();
        assert!(soon("a look", locks.inspect("job")).await.unwrap().is_none());
        if let Some(server) = fixture.server() {
            until_only(server, &helpers).await;
        }
        hold(&locks).await.release().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_thousand_that_are_dropped_at_once_leave_nothing_behind() {
    each_backend(async |fixture: Fixture| {
        let locks = manager(&fixture, true).await;
        let helpers = match fixture.server() {
            Some(server) => helper_keys(server, &locks).await,
            None => Vec::new(),
        };
        let guard = hold(fixture.another_manager()).await;
        let waiting: Vec<_> = (0..1000).map(|_| ask(job(&locks))).collect();
        until_they_wait(&fixture, 1).await;
        drop(waiting);
        // The line does not outlive the last who stood in it, although the lock is still held.
        if let Some(server) = fixture.server() {
            until_in_line(server, 0).await;
        }
        guard.release().await.unwrap();
        if let Some(server) = fixture.server() {
            until_only(server, &helpers).await;
        }
        hold(&locks).await.release().await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_dropped_in_the_moment_when_they_are_served_leave_the_lock_free() {
    each_backend(async |fixture: Fixture| {
        for hand_over in [true, false] {
            let locks = manager(&fixture, hand_over).await;
            for round in 0..60_u64 {
                let guard = hold([fixture.another_manager(), &locks][usize::from(round % 3 == 0)]).await;
                let waiting: Vec<_> = (0..3).map(|_| ask(job(&locks))).collect();
                if round % 2 == 0 {
                    until_they_wait(&fixture, 1).await;
                }
                let release = tokio::spawn(guard.release());
                let begun = Instant::now();
                while begun.elapsed() < Duration::from_micros(round * 25) {
                    tokio::task::yield_now().await;
                }
                drop(waiting);
                release.await.unwrap().unwrap();
                let guard = soon("the lock is free", job(&locks).acquire()).await.unwrap();
                guard.release().await.unwrap();
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_whose_time_ends_in_the_moment_when_they_are_served_either_have_the_lock_or_do_not() {
    each_backend(async |fixture: Fixture| {
        let locks = manager(&fixture, true).await;
        let helpers = match fixture.server() {
            Some(server) => helper_keys(server, &locks).await,
            None => Vec::new(),
        };
        let (mut served, mut refused) = (0, 0);
        for round in 0..30 {
            let guard = hold(fixture.another_manager()).await;
            let waiting: Vec<_> = (0..4).map(|_| ask(job(&locks).wait(ms(100)))).collect();
            tokio::time::sleep(ms(85 + round)).await;
            guard.release().await.unwrap();
            for call in waiting {
                match call.await {
                    Ok(guard) => {
                        guard.lease().ensure_held().unwrap();
                        guard.release().await.unwrap();
                        served += 1;
                    }
                    Err(error) => {
                        assert!(error.is_conflict(), "{error:?}");
                        refused += 1;
                    }
                }
            }
            let next = soon("the lock is free", fixture.manager().lock("job").wait(LONG).acquire()).await;
            next.unwrap().release().await.unwrap();
        }
        println!("on {}: {served} were served, {refused} were not", fixture.name());
        if let Some(server) = fixture.server() {
            until_only(server, &helpers).await;
        }
    })
    .await;
}

#[tokio::test]
async fn those_who_wait_longer_are_served_after_those_before_them_gave_up() {
    each_backend(async |fixture: Fixture| {
        let locks = manager(&fixture, true).await;
        let guard = hold(fixture.another_manager()).await;
        let impatient = (0..20).map(|_| in_vain(job(&locks), ms(300)));
        let impatient: Vec<_> = impatient.map(|call| tokio::spawn(call)).collect();
        tokio::task::yield_now().await;
        let patient: Vec<_> = (0..3).map(|_| ask(job(&locks))).collect();
        for call in impatient {
            call.await.unwrap();
        }
        guard.release().await.unwrap();
        let served = within(
            SOON,
            "the patient ones are served",
            all_served(patient, &Room::default()),
        )
        .await;
        assert_eq!(served, [0, 1, 2]);
    })
    .await;
}
