//! What each step costs beside few and beside many stored calls, in turn on two servers.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use futures_util::future::try_join_all;
use lock_runtime::{CallState, LockError, LockManager, Outcome, distributed_lock};
use lock_tests::RedisServer;
use tokio::sync::oneshot;

use crate::flags::Scale;

/// How many callers fill a queue at a time.
const CALLERS: u32 = 64;
/// How many locks the calls wait for that fill it. A worker watches so many and some more.
const LOCKS: u32 = 200;
/// How many calls a worker runs for one timing.
const RUN: u32 = 20;

#[distributed_lock(key = "scale:<key>", on_conflict = "queue", delay = "1h", manager = locks)]
async fn wait(#[state] locks: &LockManager, key: String, number: u32) -> Result<Outcome<u32>, LockError> {
    Ok(Outcome::Done(number))
}

/// A server with so many calls on it that nothing moves.
struct Place {
    server: RedisServer,
    locks: LockManager,
    _held: Vec<lock_runtime::LockGuard>,
    /// Of each step.
    times: [Vec<Duration>; STEPS.len()],
}

const STEPS: [&str; 6] = [
    "store",
    "claim and run",
    "count",
    "list, first page",
    "list, a page in the middle",
    "get",
];

#[tokio::main]
pub(crate) async fn run(plan: &Scale) -> Result<()> {
    println!("filling one queue with {} calls and one with {}", plan.few, plan.many);
    let mut places = [Place::filled(plan.few).await?, Place::filled(plan.many).await?];
    for round in 0..plan.rounds {
        for place in &mut places {
            place.round(round).await?;
        }
        if round.is_multiple_of(500) {
            println!("round {round} of {}", plan.rounds);
        }
    }
    println!("\n{:<28}{:>12}{:>12}{:>8}", "median", plan.few, plan.many, "ratio");
    let [few, many] = &mut places;
    for (index, step) in STEPS.iter().enumerate() {
        let (few, many) = (median(&mut few.times[index]), median(&mut many.times[index]));
        let ratio = many.as_secs_f64() / few.as_secs_f64();
        println!("{step:<28}{few:>12.1?}{many:>12.1?}{ratio:>8.2}");
    }
    for place in &places {
        let bytes = place.memory().await?;
        println!("memory of the server: {} MiB", bytes >> 20);
    }
    Ok(())
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

impl Place {
    async fn filled(calls: u32) -> Result<Self> {
        let server = RedisServer::start();
        let locks = LockManager::builder()
            .url(server.url())
            .default_ttl(Duration::from_secs(600))
            .connect()
            .await?;
        let names = (0..LOCKS).map(|key| locks.lock(format!("scale:{key}")).acquire());
        let held = try_join_all(names).await?;
        let callers = (0..CALLERS).map(|caller| {
            let locks = locks.clone();
            tokio::spawn(async move {
                for number in (caller..calls).step_by(CALLERS as usize) {
                    store(&locks, (number % LOCKS).to_string(), number).await?;
                }
                Ok::<_, anyhow::Error>(())
            })
        });
        for filled in try_join_all(callers).await? {
            filled?;
        }
        Ok(Self {
            server,
            locks,
            _held: held,
            times: Default::default(),
        })
    }

    async fn round(&mut self, round: u32) -> Result<()> {
        let queue = self.locks.queue();
        let mut timed = |step: usize, start: Instant| self.times[step].push(start.elapsed());

        // A lock of its own, so that the worker finds it free afterwards.
        let key = format!("own-{round}");
        let guard = self.locks.lock(format!("scale:{key}")).acquire().await?;
        let start = Instant::now();
        let ticket = store(&self.locks, key, round).await?;
        timed(0, start);

        let start = Instant::now();
        let counts = queue.counts().await?;
        timed(2, start);
        let start = Instant::now();
        queue.list(CallState::Delayed, 0, 20).await?;
        timed(3, start);
        let start = Instant::now();
        queue.list(CallState::Delayed, counts.delayed / 2, 20).await?;
        timed(4, start);
        let start = Instant::now();
        queue.get(ticket).await?;
        timed(5, start);

        guard.release().await?;
        if round % RUN == RUN - 1 {
            let start = Instant::now();
            let (stop, stopped) = oneshot::channel::<()>();
            let worker = self.locks.worker().state(self.locks.clone()).run_until(stopped);
            let ended = async {
                let end = queue.wait(ticket).await;
                drop(stop);
                end
            };
            let (worked, ended) = futures_util::future::join(worker, ended).await;
            worked?;
            ended?;
            timed(1, start);
        }
        Ok(())
    }

    async fn memory(&self) -> Result<u64> {
        let client = redis::Client::open(self.server.url())?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let info: String = redis::cmd("INFO").arg("memory").query_async(&mut connection).await?;
        let used = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
        Ok(used.and_then(|used| used.trim().parse().ok()).unwrap_or_default())
    }
}

async fn store(locks: &LockManager, key: String, number: u32) -> Result<lock_runtime::Ticket> {
    match wait(locks, key, number).await? {
        Outcome::Queued(ticket) => Ok(ticket),
        Outcome::Done(_) => bail!("the lock was free"),
    }
}
