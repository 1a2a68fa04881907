//! Who gets the lock, and how it comes to know.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;

#[tokio::test]
async fn processes_are_served_in_the_order_in_which_they_came() {
    let server = Server::start();
    let first = Process::new(&server).await;
    let mut last = fence(&first.ask().await);
    let mut line = Vec::new();
    for _ in 0..5 {
        let process = Process::new(&server).await;
        process.stand().await;
        line.push(process);
    }
    // Who asks again keeps its place.
    for process in line.iter().rev() {
        process.stand().await;
    }
    assert_eq!(first.release().await, Released::Done);
    for process in &mut line {
        let fence = process.granted().await;
        assert!(process.holds(&server) && fence > last);
        last = fence;
        assert_eq!(process.release().await, Released::Done);
    }
    assert_eq!(holder(&server), None);
}

#[tokio::test]
async fn a_grant_has_the_first_lease_and_the_claims_own_question_makes_it_long() {
    let server = Server::start();
    let (holder, mut next) = (Process::new(&server).await, Process::new(&server).await);
    holder.ask().await;
    let first_lease = Duration::from_secs(60);
    next.stand_with(Turn { first_lease, ..TURN }).await;
    holder.release().await;
    let granted = next.granted().await;
    assert!(remaining(&server) <= first_lease);
    assert!(fence(&next.ask().await) > granted);
    assert!(remaining(&server) > first_lease);
}

#[tokio::test]
async fn a_grant_that_nobody_heard_is_found_by_asking() {
    let server = Server::start();
    let (holder, next) = (Process::new(&server).await, Process::new(&server).await);
    holder.ask().await;
    next.stand().await;
    // As one whose messages are lost.
    let Process {
        backend, claim, place, ..
    } = next;
    drop(place);
    holder.release().await;
    let answer = backend.acquire_in_turn(&claim, TURN, WITHIN).await.unwrap();
    assert!(matches!(answer, Acquired::Granted(_)), "{answer:?}");
}

#[tokio::test]
async fn a_grant_is_not_lost_with_the_future_that_waited_for_it() {
    let server = Server::start();
    let (holder, mut next) = (Process::new(&server).await, Process::new(&server).await);
    holder.ask().await;
    next.stand().await;
    for _ in 0..3 {
        let _ = timeout(Duration::from_millis(1), next.place.woken()).await;
    }
    holder.release().await;
    until("the grant", || next.holds(&server)).await;
    next.granted().await;
}

#[tokio::test]
async fn a_release_that_is_sent_twice_takes_nothing_from_the_next_one() {
    let server = Server::start();
    let (holder, mut next) = (Process::new(&server).await, Process::new(&server).await);
    holder.ask().await;
    next.stand().await;
    assert_eq!(holder.release().await, Released::Done);
    assert_eq!(holder.release().await, Released::Taken);
    next.granted().await;
    assert!(next.holds(&server));
}

#[tokio::test]
async fn blocks_of_fences_never_overlap() {
    let server = Server::start();
    let turn = Turn {
        fences: 1_000_000,
        ..TURN
    };
    let holder = Process::new(&server).await;
    let first = fence(&holder.ask_with(turn).await);
    let mut next = Process::new(&server).await;
    next.stand_with(turn).await;
    holder.release().await;
    let second = next.granted().await;
    assert!(second.get() >= first.get() + turn.fences);
    next.release().await;
    let third = Process::new(&server).await;
    let plain = third.backend.acquire(&third.claim, LONG, WITHIN).await.unwrap();
    assert!(fence(&plain).get() >= second.get() + turn.fences);
    let again = fence(&third.ask_with(turn).await);
    assert!(again > fence(&plain));
    let counter: u64 = server.ask(&["GET", "distributed-lock:fence"]);
    assert_eq!(counter, again.get() + turn.fences - 1);
}

#[tokio::test]
async fn a_forced_release_gives_the_lock_to_the_first_in_line() {
    let server = Server::start();
    let (holder, mut next) = (Process::new(&server).await, Process::new(&server).await);
    holder.ask().await;
    next.stand().await;
    assert!(holder.backend.force_release(NAME, WITHIN).await.unwrap());
    next.granted().await;
    assert!(next.holds(&server));
}

#[tokio::test]
async fn out_of_memory_the_lock_goes_on_to_the_first_in_line() {
    let server = Server::start();
    let (holder, mut next) = (Process::new(&server).await, Process::new(&server).await);
    let last = fence(&holder.ask().await);
    next.stand().await;
    server.ask::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    assert_eq!(holder.release().await, Released::Done);
    let fence_of_grant = next.granted().await;
    assert!(next.holds(&server) && fence_of_grant > last);
    assert!(fence(&next.ask().await) > fence_of_grant);
    assert_eq!(next.release().await, Released::Done);
    assert_eq!(super::holder(&server), None);
}

#[tokio::test]
async fn a_lock_that_stays_taken_tells_the_first_in_line_the_new_time() {
    let server = Server::start();
    let (holder, mut next) = (Process::new(&server).await, Process::new(&server).await);
    holder.ask().await;
    next.stand().await;
    let rest = Duration::from_secs(60);
    assert_eq!(holder.leave(Leave::TakenFor(rest)).await, Released::Done);
    next.woken().await;
    match next.ask().await {
        Acquired::Busy(Some(left)) => assert!(left <= rest + Duration::from_millis(1)),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn many_processes_exclude_each_other_and_no_turn_is_lost() {
    const PROCESSES: u64 = 8;
    const TURNS: u64 = 50;
    let server = Server::start();
    let (taken, last) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut tasks = Vec::new();
    for _ in 0..PROCESSES {
        let backend = Arc::new(backend(&server));
        let (taken, last) = (Arc::clone(&taken), Arc::clone(&last));
        tasks.push(async move {
            for _ in 0..TURNS {
                let mut process = Process::with(Arc::clone(&backend)).await;
                let fence = match process.ask().await {
                    Acquired::Granted(fence) => fence,
                    // Not one question more: a grant that is lost is never found.
                    Acquired::Busy(_) => process.granted().await,
                };
                assert!(!taken.swap(true, Ordering::SeqCst), "two hold the lock");
                assert!(last.swap(fence.get(), Ordering::SeqCst) < fence.get());
                tokio::task::yield_now().await;
                taken.store(false, Ordering::SeqCst);
                assert_eq!(process.release().await, Released::Done);
            }
        });
    }
    futures_util::future::join_all(tasks).await;
    assert_eq!(super::holder(&server), None);
    assert!(helpers(&server).is_empty());
}
