//! A process of its own, for tests that need one: see `usage`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails, and says why"
)]

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use lock_runtime::{Lease, LockError, LockManager, current};
use lock_tests::history::{Recorder, What, now};
use lock_tests::resource::Resource;

/// The longest that a worker waits for a lock.
const WAIT: Duration = Duration::from_secs(10);
/// How many different locks the workers share, beside the one that all want.
const MANY: u64 = 40;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["connect", url] => connect(url).await,
        ["hold", url, key, ttl] => hold(url, key, milliseconds(ttl)).await,
        ["work", url, resource, tasks, ttl, records] => {
            let work = Work {
                manager: LockManager::builder()
                    .url(url)
                    .default_ttl(milliseconds(ttl))
                    .connect()
                    .await
                    .unwrap(),
                resource,
                records: Path::new(records),
            };
            work.run(tasks.parse().unwrap()).await;
        }
        _ => panic!("usage: connect URL | hold URL KEY TTL | work URL RESOURCE TASKS TTL RECORDS"),
    }
}

fn milliseconds(text: &str) -> Duration {
    Duration::from_millis(text.parse().unwrap())
}

/// Takes a lock and releases it; says `ok`, or `error: …`.
async fn connect(url: &str) {
    let connect = async {
        let manager = LockManager::connect(url).await?;
        manager.lock("job").acquire().await?.release().await
    };
    match tokio::time::timeout(Duration::from_secs(20), connect).await {
        Ok(Ok(())) => println!("ok"),
        Ok(Err(error)) => println!("error: {error}"),
        Err(_) => println!("error: no answer in 20 s"),
    }
}

/// Holds a lock until standard input ends; says `held FENCE`, and then `done`, or `lost REASON`.
async fn hold(url: &str, key: &str, ttl: Duration) {
    let manager = LockManager::connect(url).await.unwrap();
    let end = end_of_input();
    let body = async {
        println!("held {}", current().expect("inside a body").fence());
        while !end.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    match manager.lock(key).ttl(ttl).run(body).await {
        Ok(()) => println!("done"),
        Err(error) => match error.lost_reason() {
            Some(reason) => println!("lost {reason:?}"),
            None => println!("error: {error}"),
        },
    }
}

/// What became of the calls of all tasks.
#[derive(Default)]
struct Count {
    done: AtomicU64,
    stopped: AtomicU64,
    conflicts: AtomicU64,
    lost: AtomicU64,
    unavailable: AtomicU64,
}

/// What the tasks of `work` share.
struct Work<'a> {
    manager: LockManager,
    resource: &'a str,
    /// The folder in which each task records what it sees.
    records: &'a Path,
}

/// One of the tasks of `work`: one client.
struct Worker {
    manager: LockManager,
    resource: Resource,
    recorder: Recorder,
}

impl Work<'_> {
    /// Counts up under locks until standard input ends, then says how often: half of the tasks under
    /// one lock, half under many.
    async fn run(self, tasks: u64) {
        let end = end_of_input();
        let count = Arc::new(Count::default());
        let mut workers = tokio::task::JoinSet::new();
        for number in 0..tasks {
            let (end, count) = (Arc::clone(&end), Arc::clone(&count));
            let mut worker = Worker {
                manager: self.manager.clone(),
                resource: Resource::connect(self.resource),
                recorder: Recorder::new(self.records, &format!("{}:{number}", std::process::id())),
            };
            workers.spawn(async move {
                let mut round = number;
                while !end.load(Ordering::SeqCst) {
                    round = round.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let counter = if number % 2 == 0 {
                        "one".to_owned()
                    } else {
                        format!("many:{}", (round >> 33) % MANY)
                    };
                    let reenters = (round >> 40) % 2 == 0;
                    add(&count, worker.hold(&counter, reenters).await);
                }
            });
        }
        while let Some(worker) = workers.join_next().await {
            worker.unwrap();
        }
        self.manager.shutdown(Duration::from_secs(5)).await;
        let number = |count: &AtomicU64| count.load(Ordering::SeqCst);
        println!(
            "done={} stopped={} conflicts={} lost={} unavailable={}",
            number(&count.done),
            number(&count.stopped),
            number(&count.conflicts),
            number(&count.lost),
            number(&count.unavailable)
        );
    }
}

impl Worker {
    /// Counts up under the lock, at the end perhaps inside of a re-entry, and records what it saw.
    async fn hold(&mut self, counter: &str, reenters: bool) -> Result<bool, LockError> {
        let manager = self.manager.clone();
        self.recorder.record(counter, What::Acquire);
        let mut got_it = false;
        let body = async {
            self.recorder.record(counter, What::Acquired(fence_here()));
            got_it = true;
            if reenters {
                self.reenter(&manager, counter).await?;
            }
            let counted = count_up(&mut self.resource, counter);
            self.releases(counter);
            Ok(counted)
        };
        let result = manager.lock(counter).wait(WAIT).run(body).await.and_then(|inner| inner);
        let seen = match &result {
            Ok(_) => What::Released,
            // Nothing has been released since the body began, so whatever went wrong, the lease is lost.
            Err(_) if got_it => What::Lost,
            Err(error) if error.is_conflict() => What::NotAcquired,
            Err(_) => What::AcquireUnknown,
        };
        self.recorder.record(counter, seen);
        result
    }

    async fn reenter(&mut self, manager: &LockManager, counter: &str) -> Result<(), LockError> {
        self.recorder.record(counter, What::Acquire);
        let body = async {
            self.recorder.record(counter, What::Acquired(fence_here()));
            self.releases(counter);
        };
        manager.lock(counter).reentrant().run(body).await?;
        self.recorder.record(counter, What::Released);
        Ok(())
    }

    /// Records that the release begins, at a moment after which the lease was valid. A body that finds it lost ends
    /// without: then the call fails, and says so.
    fn releases(&mut self, counter: &str) {
        let time = now();
        if current().as_ref().is_some_and(Lease::is_held) {
            self.recorder.record_at(time, counter, What::Release);
        }
    }
}

/// The fence of the hold around the caller.
fn fence_here() -> u64 {
    current().expect("inside a body").fence().get()
}

/// Reads, takes its time, writes. It has no await point, so that a process paused in the middle goes
/// on to write when it wakes, before anybody can tell it that its lease is over.
fn count_up(resource: &mut Resource, counter: &str) -> bool {
    let fence = fence_here();
    let Ok(value) = resource.read(counter, fence) else {
        return false;
    };
    std::thread::sleep(Duration::from_millis(2));
    resource.write(counter, fence, value + 1).is_ok()
}

fn add(count: &Count, result: Result<bool, LockError>) {
    let which = match result {
        Ok(true) => &count.done,
        Ok(false) => &count.stopped,
        Err(error) if error.is_conflict() => &count.conflicts,
        Err(error) if error.is_lost() => &count.lost,
        Err(error) if error.is_unavailable() => {
            eprintln!("{error}");
            &count.unavailable
        }
        Err(error) => panic!("{error}"),
    };
    which.fetch_add(1, Ordering::SeqCst);
}

/// True when standard input ended.
fn end_of_input() -> Arc<AtomicBool> {
    let end = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&end);
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        ended.store(true, Ordering::SeqCst);
    });
    end
}
