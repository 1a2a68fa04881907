//! `on_conflict = "queue"` where there is more than one server: calls are stored, follow the master, and run in their order.

use std::sync::{Arc, Mutex};

use lock_runtime::{CallEnd, LockError, LockManager, Outcome, Ticket, distributed_lock};
use lock_tests::{ClusterGroup, SentinelGroup, eventually};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::support::{LATE, LONG, manager, within};

/// What the workers and the callers have.
#[derive(Clone)]
struct Shop {
    locks: LockManager,
    ran: Arc<Mutex<Vec<u32>>>,
}

#[distributed_lock(key = "job:<job>", on_conflict = "queue", delay = "500ms", manager = shop.locks)]
async fn ship(#[state] shop: &Shop, job: String, number: u32) -> Result<Outcome<()>, LockError> {
    shop.ran.lock().unwrap().push(number);
    Ok(Outcome::Done(()))
}

impl Shop {
    async fn at(url: &str) -> Self {
        Self {
            locks: manager(url, "shop").await,
            ran: Arc::default(),
        }
    }

    /// Stores so many calls while somebody else has the lock.
    async fn store(&self, job: &str, count: u32) -> Vec<Ticket> {
        let request = self.locks.lock(format!("job:{job}")).ttl(LONG);
        let guard = request.acquire().await.unwrap();
        let mut tickets = Vec::new();
        for number in 1..=count {
            let outcome = ship(self, job.to_owned(), number).await.unwrap();
            tickets.push(outcome.ticket().expect("the lock is taken"));
        }
        guard.release().await.unwrap();
        tickets
    }

    fn worker(&self) -> (oneshot::Sender<()>, JoinHandle<Result<(), LockError>>) {
        let (stop, stopped) = oneshot::channel();
        let worker = self.locks.worker().state(self.clone());
        (stop, tokio::spawn(worker.run_until(stopped)))
    }

    async fn all_done(&self, tickets: &[Ticket]) {
        for ticket in tickets {
            // A question may fall into the time in which there is no master.
            let end = async {
                loop {
                    if let Ok(end) = self.locks.queue().wait(*ticket).await {
                        return end;
                    }
                }
            };
            assert_eq!(within(LATE * 2, "a stored call's end", end).await, CallEnd::Done);
        }
    }

    fn ran(&self) -> Vec<u32> {
        self.ran.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn calls_are_stored_in_one_slot_of_a_cluster_and_run_in_their_order() {
    let cluster = ClusterGroup::start();
    let shop = Shop::at(&cluster.url()).await;
    let mut tickets = Vec::new();
    // Locks in different slots, one queue.
    for job in ["a", "b", "c", "d"] {
        tickets.extend(shop.store(job, 5).await);
    }
    let queues: Vec<_> = cluster
        .nodes()
        .iter()
        .map(|node| node.keys().iter().any(|key| key.contains("queue:")))
        .collect();
    assert_eq!(queues.iter().filter(|has| **has).count(), 1, "{queues:?}");
    let (stop, worker) = shop.worker();
    shop.all_done(&tickets).await;
    drop(stop);
    worker.await.unwrap().unwrap();
    let mut ran = shop.ran();
    ran.sort_unstable();
    assert_eq!(ran, [1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5]);
}

#[tokio::test]
async fn stored_calls_move_with_their_slot() {
    let cluster = ClusterGroup::start();
    let shop = Shop::at(&cluster.url()).await;
    let tickets = shop.store("a", 5).await;
    let slot = cluster.slot_of("{queue:lock:}");
    let old = cluster.master_of(slot);
    let (stop, worker) = shop.worker();
    cluster.move_slot(slot, (old + 1) % 3);
    shop.all_done(&tickets).await;
    drop(stop);
    worker.await.unwrap().unwrap();
    assert_eq!(shop.ran(), [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn stored_calls_that_were_replicated_outlive_the_death_of_their_master() {
    let mut group = SentinelGroup::start();
    let shop = Shop::at(&group.url()).await;
    let tickets = shop.store("a", 5).await;
    eventually("the replica has the calls", LATE, async || {
        let calls = group.servers[1].cli(&["HLEN", "distributed-lock:{queue:lock:}:calls"]);
        calls.trim() == "5"
    })
    .await;
    assert_eq!(group.fail_over(), 1);
    let (stop, worker) = shop.worker();
    shop.all_done(&tickets).await;
    drop(stop);
    worker.await.unwrap().unwrap();
    assert_eq!(shop.ran(), [1, 2, 3, 4, 5]);
}
