//! A process that stores calls or runs them, for tests that kill it: see `usage`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails, and says why"
)]

use std::io::BufRead as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lock_runtime::{LockError, LockManager, Outcome, distributed_lock};
use tokio::sync::{Notify, oneshot};

/// What the function is lent.
struct Desk {
    locks: LockManager,
    /// Where the bodies write down what they do: another way than that of the locks, which a test may block.
    record: Mutex<redis::Connection>,
    /// The name of the list there.
    list: String,
    /// Bodies wait for a line of the standard input in their middle.
    waits: bool,
    go: Arc<Notify>,
}

impl AsRef<LockManager> for Desk {
    fn as_ref(&self) -> &LockManager {
        &self.locks
    }
}

impl Desk {
    fn write(&self, line: &str) {
        let mut record = self.record.lock().unwrap();
        let mut command = redis::cmd("RPUSH");
        command.arg(&self.list).arg(line).exec(&mut record).unwrap();
    }
}

#[distributed_lock(
    key = "order:<order>",
    ttl = "1s",
    on_conflict = "queue",
    delay = "200ms",
    attempts = 1000,
    manager = desk
)]
async fn deliver(#[state] desk: &Desk, order: u64, name: String) -> Result<Outcome<()>, LockError> {
    desk.write(&format!("begins {name}"));
    println!("begins {name}");
    if desk.waits {
        desk.go.notified().await;
    } else {
        tokio::task::yield_now().await;
    }
    desk.write(&format!("ends {name}"));
    println!("ends {name}");
    let _ = order;
    Ok(Outcome::Done(()))
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["store", url, record, namespace, order, ref names @ ..] => {
            let desk = desk(url, record, namespace, false).await;
            store(&desk, order.parse().unwrap(), names).await;
        }
        ["work", url, record, namespace, lease, how] => {
            let desk = desk(url, record, namespace, how == "waits").await;
            work(desk, Duration::from_millis(lease.parse().unwrap())).await;
        }
        _ => panic!("usage: store URL RECORD NAMESPACE ORDER NAME… | work URL RECORD NAMESPACE LEASE waits|passes"),
    }
}

async fn desk(url: &str, record: &str, namespace: &str, waits: bool) -> Desk {
    let builder = LockManager::builder().url(url).namespace(namespace);
    Desk {
        locks: builder.connect().await.unwrap(),
        record: Mutex::new(redis::Client::open(record).unwrap().get_connection().unwrap()),
        list: format!("record:{namespace}"),
        waits,
        go: Arc::default(),
    }
}

/// Calls the function for each name; says `stored TICKET`, `ran` or `error: …`.
async fn store(desk: &Desk, order: u64, names: &[&str]) {
    for name in names {
        match deliver(desk, order, (*name).to_owned()).await {
            Ok(Outcome::Queued(ticket)) => println!("stored {ticket}"),
            Ok(Outcome::Done(())) => println!("ran"),
            Err(error) => println!("error: {error}"),
        }
    }
}

/// Runs stored calls until standard input ends. Each line of it lets one body go on.
async fn work(desk: Desk, lease: Duration) {
    let (end, ended) = oneshot::channel::<()>();
    let locks = desk.locks.clone();
    let go = Arc::clone(&desk.go);
    std::thread::spawn(move || {
        for _ in std::io::stdin().lock().lines() {
            go.notify_one();
        }
        let _ = end.send(());
    });
    let worker = locks.worker().state(desk).claim_lease(lease);
    worker.run_until(ended).await.unwrap();
    println!("stopped");
}
