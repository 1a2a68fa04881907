//! Callers who do not wait, and stored calls, beside those who do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lock_runtime::{LockError, LockManager, Outcome, current, distributed_lock};
use lock_tests::{Fixture, each_backend, eventually};

use crate::support::{LATE, LONG, Room, SOON, ask, hold, job, manager, soon, until_they_wait, within};

#[distributed_lock(key = "job", ttl = "10m", manager = locks)]
async fn fails(locks: &LockManager, room: &Room) -> Result<(), LockError> {
    body(room).await;
    Ok(())
}

#[distributed_lock(key = "job", ttl = "10m", on_conflict = "skip", manager = locks)]
async fn skips(locks: &LockManager, room: &Room) -> Result<Option<()>, LockError> {
    body(room).await;
    Ok(Some(()))
}

#[distributed_lock(key = "job", ttl = "10m", on_conflict = "retry", wait = "10m", manager = locks)]
async fn waits(locks: &LockManager, room: &Room) -> Result<(), LockError> {
    body(room).await;
    Ok(())
}

/// What stored calls are run with.
#[derive(Clone)]
struct Stage {
    locks: LockManager,
    room: Room,
    ran: Arc<AtomicUsize>,
}

#[distributed_lock(key = "job", ttl = "10m", on_conflict = "queue", delay = "50ms", attempts = 1000, manager = &stage.locks)]
async fn stored(#[state] stage: &Stage, number: u32) -> Result<Outcome<()>, LockError> {
    body(&stage.room).await;
    stage.ran.fetch_add(1, Ordering::SeqCst);
    let _ = number;
    Ok(Outcome::Done(()))
}

async fn body(room: &Room) {
    let _visit = room.enter(0, &current().unwrap());
    tokio::task::yield_now().await;
}

#[tokio::test]
async fn who_does_not_wait_is_answered_at_once_however_many_wait() {
    each_backend(async |fixture: Fixture| {
        for hand_over in [true, false] {
            let locks = manager(&fixture, hand_over).await;
            let guard = hold(fixture.another_manager()).await;
            let waiting: Vec<_> = (0..200).map(|_| ask(job(&locks))).collect();
            until_they_wait(&fixture, 1).await;
            let room = Room::default();
            for locks in [&locks, fixture.manager()] {
                let error = soon("an answer", fails(locks, &room)).await.unwrap_err();
                assert!(error.is_conflict(), "{error:?}");
                assert_eq!(soon("an answer", skips(locks, &room)).await.unwrap(), None);
                assert!(
                    soon("an answer", locks.lock("job").try_acquire())
                        .await
                        .unwrap()
                        .is_none()
                );
                let now = locks.lock("job").wait(Duration::ZERO).acquire();
                assert!(soon("an answer", now).await.unwrap_err().is_conflict());
            }
            assert!(room.visits().is_empty());
            drop((guard, waiting));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_policies_side_by_side_run_one_body_at_a_time() {
    each_backend(async |fixture: Fixture| {
        for hand_over in [true, false] {
            let managers = [manager(&fixture, hand_over).await, manager(&fixture, hand_over).await];
            let (room, end) = (Room::default(), Arc::new(AtomicBool::new(false)));
            let longest = Arc::new(std::sync::Mutex::new(Duration::ZERO));
            let mut tasks = tokio::task::JoinSet::new();
            for number in 0..24 {
                let (locks, room, end) = (managers[number % 2].clone(), room.clone(), end.clone());
                let longest = longest.clone();
                tasks.spawn(async move {
                    let mut ran = 0;
                    while !end.load(Ordering::SeqCst) {
                        let begun = Instant::now();
                        match number % 3 {
                            0 => {
                                waits(&locks, &room).await.unwrap();
                                ran += 1;
                                continue;
                            }
                            1 => match fails(&locks, &room).await {
                                Ok(()) => ran += 1,
                                Err(error) => assert!(error.is_conflict(), "{error:?}"),
                            },
                            _ => ran += usize::from(skips(&locks, &room).await.unwrap().is_some()),
                        }
                        {
                            let mut longest = longest.lock().unwrap();
                            *longest = begun.elapsed().max(*longest);
                        }
                        tokio::task::yield_now().await;
                    }
                    ran
                });
            }
            eventually("they take turns for a while", LATE, async || room.visits().len() > 500).await;
            end.store(true, Ordering::SeqCst);
            let mut ran = 0;
            while let Some(task) = within(LATE, "a task ends", tasks.join_next()).await {
                ran += task.unwrap();
            }
            assert_eq!(ran, room.visits().len(), "an answer does not say what was run");
            let longest = *longest.lock().unwrap();
            assert!(longest < SOON, "one who does not wait was answered after {longest:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stored_calls_run_beside_waiters_and_never_with_them() {
    const CALLS: u32 = 15;
    each_backend(async |fixture: Fixture| {
        for hand_over in [true, false] {
            let locks = manager(&fixture, hand_over).await;
            let room = Room::default();
            let stage = Stage {
                locks: locks.clone(),
                room: room.clone(),
                ran: Arc::default(),
            };
            let end = Arc::new(AtomicBool::new(false));
            let mut tasks = tokio::task::JoinSet::new();
            for number in 0..16 {
                let locks = [&locks, fixture.another_manager()][number % 2].clone();
                let (room, end) = (room.clone(), end.clone());
                tasks.spawn(async move {
                    while !end.load(Ordering::SeqCst) {
                        waits(&locks, &room).await.unwrap();
                        tokio::time::sleep(Duration::from_millis(2)).await;
                    }
                });
            }
            let stop = Arc::new(tokio::sync::Notify::new());
            let worker = {
                let (stop, worker) = (stop.clone(), locks.worker().state(stage.clone()));
                tokio::spawn(async move { worker.run_until(async move { stop.notified().await }).await })
            };
            let mut was_stored = 0;
            for number in 0..CALLS {
                let outcome = soon("a call is stored or done", stored(&stage, number)).await.unwrap();
                was_stored += usize::from(matches!(outcome, Outcome::Queued(_)));
            }
            eventually("all calls were run", LATE, async || {
                stage.ran.load(Ordering::SeqCst) >= CALLS as usize
            })
            .await;
            println!("on {}: {was_stored} of {CALLS} calls were stored", fixture.name());
            end.store(true, Ordering::SeqCst);
            while let Some(task) = within(LATE, "a task ends", tasks.join_next()).await {
                task.unwrap();
            }
            stop.notify_one();
            within(LATE, "the worker ends", worker).await.unwrap().unwrap();
            let free = locks.lock("job").ttl(LONG).try_acquire().await.unwrap();
            assert!(free.is_some(), "the lock is still held");
        }
    })
    .await;
}
