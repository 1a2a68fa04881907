//! A call's whole way, with the function that the attribute would have made written by hand.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;

use super::private::{
    Arguments, Call, Entered, Execution, Function, Parameter, Registered, Running, parameter, returns_or_queues, state,
};
use super::{CallEnd, CallState, DeathCause, Outcome};
use crate::terms::Spec;
use crate::{Key, LockError, LockManager};

/// What the runs have left.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u32>>>);

static SPEC: Spec = Spec::fail();
const NUMBER: Parameter<u32> = parameter("number");
static FUNCTION: Function = Function::new(
    "tests::ship",
    Duration::from_millis(100),
    3,
    &[state::<Log>().state_type()],
    run,
);

fn run(execution: Execution) -> Running {
    Box::pin(async move {
        match (|| Ok::<_, super::private::Unreadable>((execution.state::<Log>()?, NUMBER.read(execution.arguments())?)))(
        ) {
            Err(unreadable) => execution.unreadable(unreadable),
            Ok((log, number)) => {
                let locks = LockManager::in_memory();
                let output = execution.within(ship(&locks, log, number)).await;
                execution.ended(output.map(drop).map_err(|error| error.to_string()));
            }
        }
    })
}

inventory::submit! { Registered::new(&FUNCTION) }

async fn ship(locks: &LockManager, log: &Log, number: u32) -> Result<Outcome<()>, LockError> {
    let mut call = Call::new(&SPEC, returns_or_queues(), &FUNCTION);
    let ended;
    {
        call.manager(locks);
        call.key(Key::from("order"));
        ended = match call.enter().await {
            Entered::Held => {
                let body = std::pin::pin!(async move {
                    log.0.lock().unwrap().push(number);
                    if number == 13 {
                        panic!("thirteen");
                    }
                    Ok(Outcome::Done(()))
                });
                call.run(body).await
            }
            Entered::Taken => call.store(Arguments::new().with(&NUMBER, &number)).await,
            Entered::Over(over) => *over,
        };
    }
    call.end(ended).await
}

#[tokio::test]
async fn calls_that_meet_a_taken_lock_run_later_in_their_order() {
    let locks = LockManager::in_memory();
    let log = Log::default();
    assert_eq!(ship(&locks, &log, 0).await.unwrap(), Outcome::Done(()));

    let guard = locks.lock("order").acquire().await.unwrap();
    let mut tickets = Vec::new();
    for number in [1, 2, 13, 3] {
        tickets.push(ship(&locks, &log, number).await.unwrap().ticket().unwrap());
    }
    let queue = locks.queue();
    assert_eq!(queue.counts().await.unwrap().delayed, 4);

    let (stop, stopped) = oneshot::channel::<()>();
    let worker = tokio::spawn(locks.worker().state(log.clone()).concurrency(2).run_until(stopped));
    guard.release().await.unwrap();
    assert_eq!(queue.wait(tickets[3]).await.unwrap(), CallEnd::Done);
    assert_eq!(*log.0.lock().unwrap(), [0, 1, 2, 13, 3]);
    assert_eq!(
        queue.wait(tickets[2]).await.unwrap(),
        CallEnd::Dead {
            cause: DeathCause::Panicked,
            error: "thirteen".to_owned()
        }
    );
    assert_eq!(queue.list(CallState::Dead, 0, 9).await.unwrap().len(), 1);
    stop.send(()).unwrap();
    worker.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_lock_stays_taken_is_tried_at_most_so_often() {
    static POLLS: AtomicU32 = AtomicU32::new(0);
    let locks = LockManager::in_memory();
    let log = Log::default();
    let _guard = locks.lock("order").acquire().await.unwrap();
    let ticket = ship(&locks, &log, 1).await.unwrap().ticket().unwrap();
    let stop = std::future::poll_fn(|_| {
        POLLS.fetch_add(1, Ordering::Relaxed);
        std::task::Poll::<()>::Pending
    });
    let worker = tokio::spawn(locks.worker().state(log.clone()).run_until(stop));
    let end = locks.queue().wait(ticket).await.unwrap();
    assert!(
        matches!(&end, CallEnd::Dead { cause: DeathCause::Exhausted, error } if error.starts_with("lock `order` is held")),
        "{end:?}"
    );
    let dead = locks.queue().get(ticket).await.unwrap().unwrap();
    assert_eq!((dead.tried(), dead.attempts()), (3, 3));
    assert!(log.0.lock().unwrap().is_empty());
    assert!(POLLS.load(Ordering::Relaxed) < 100, "it polls");
    worker.abort();
}
