//! A process that wants locks which others want too, as it is told on standard input: see `Child::obey`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails, and says why"
)]

use std::io::{BufRead as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lock_runtime::{LockManager, current};
use lock_tests::history::now;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Longer than any test.
const WAIT: Duration = Duration::from_secs(300);
/// A ttl that no test lives to see.
const LONG: Duration = Duration::from_secs(600);
/// Re-checks so far apart that only a wake-up can be the reason of being on time.
const SELDOM: (Duration, Duration) = (Duration::from_secs(50), Duration::from_secs(55));

/// One hold: its fence, and when it was asked for, began and ended.
type Hold = (u64, u64, u64, u64);

struct Child {
    manager: LockManager,
    end: Arc<AtomicBool>,
    loops: JoinSet<Vec<Hold>>,
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, hand_over] = &arguments[..] else {
        panic!("usage: URL HAND_OVER");
    };
    let builder = LockManager::builder().url(url).hand_over(hand_over.parse().unwrap());
    let mut child = Child {
        manager: builder.connect().await.unwrap(),
        end: Arc::default(),
        loops: JoinSet::new(),
    };
    println!("ready");
    let mut orders = orders();
    while let Some(order) = orders.recv().await {
        let words: Vec<&str> = order.split(' ').collect();
        child.obey(&words).await;
    }
}

impl Child {
    async fn obey(&mut self, order: &[&str]) {
        match order {
            // As many tasks want the lock over and over, with bodies of so many milliseconds, until `stop`.
            ["loop", key, tasks, body] => {
                for _ in 0..tasks.parse().unwrap() {
                    let (manager, end) = (self.manager.clone(), Arc::clone(&self.end));
                    let (key, body) = ((*key).to_owned(), milliseconds(body));
                    self.loops.spawn(repeat(manager, key, body, end));
                }
                println!("looping");
            }
            // Says every hold: `hold FENCE ASKED BEGAN ENDED`.
            ["stop"] => self.stop().await,
            // Says `got FENCE` and holds the lock for ever; renewed every third of the ttl. It looks again as often as
            // is usual, or `seldom`.
            ["keep", key, ttl, often] => {
                let mut request = self.manager.lock(*key).ttl(milliseconds(ttl)).wait(WAIT);
                if *often == "seldom" {
                    request = request.backoff(SELDOM.0, SELDOM.1);
                }
                tokio::spawn(async move {
                    let body = async {
                        println!("got {}", fence_here());
                        std::future::pending::<()>().await;
                    };
                    let error = request.run(body).await.unwrap_err();
                    println!("ended {error}");
                });
            }
            // Uses locks in every way, then does nothing.
            ["use"] => {
                use_locks(&self.manager).await;
                println!("used");
            }
            _ => panic!("an unknown order: {order:?}"),
        }
    }

    async fn stop(&mut self) {
        self.end.store(true, Ordering::SeqCst);
        let mut output = std::io::BufWriter::new(std::io::stdout().lock());
        while let Some(holds) = self.loops.join_next().await {
            for (fence, asked, began, ended) in holds.unwrap() {
                writeln!(output, "hold {fence} {asked} {began} {ended}").unwrap();
            }
        }
        writeln!(output, "stopped").unwrap();
        output.flush().unwrap();
    }
}

async fn repeat(manager: LockManager, key: String, body: Duration, end: Arc<AtomicBool>) -> Vec<Hold> {
    let mut holds = Vec::new();
    while !end.load(Ordering::SeqCst) {
        let asked = now();
        let body = async {
            let began = now();
            if body.is_zero() {
                tokio::task::yield_now().await;
            } else {
                tokio::time::sleep(body).await;
            }
            (fence_here(), asked, began, now())
        };
        holds.push(manager.lock(&*key).ttl(LONG).wait(WAIT).run(body).await.unwrap());
    }
    holds
}

/// Locks of many names, one lock that many want, and one that is waited for in vain.
async fn use_locks(manager: &LockManager) {
    let mut tasks = JoinSet::new();
    for number in 0..100 {
        let (one, own) = (manager.lock("one"), manager.lock(format!("own:{number}")));
        tasks.spawn(async move {
            own.run(async {}).await.unwrap();
            one.wait(WAIT).run(async {}).await.unwrap();
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    let _held = manager.lock("held").acquire().await.unwrap();
    let vain = manager.lock("held").wait(Duration::from_millis(200)).acquire().await;
    assert!(vain.unwrap_err().is_conflict());
}

/// The fence of the hold around the caller.
fn fence_here() -> u64 {
    current().expect("inside a body").fence().get()
}

fn milliseconds(text: &str) -> Duration {
    Duration::from_millis(text.parse().unwrap())
}

/// The lines of standard input, read by a thread that sleeps until there is one.
fn orders() -> mpsc::UnboundedReceiver<String> {
    let (send, orders) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            if send.send(line).is_err() {
                return;
            }
        }
    });
    orders
}
