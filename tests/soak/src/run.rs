//! One soak, from the first stored call to the judgement.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use lock_runtime::{LockGuard, LockManager, Outcome, Ticket};
use lock_tests::RedisServer;

use crate::flags::Plan;
use crate::functions::{Kind, crash, step};
use crate::judge::{Call, judge};
use crate::log::Log;
use crate::table::Table;
use crate::workers::Workers;

/// How many callers store at a time.
const CALLERS: u32 = 64;
/// One call in so many fails, and one panics.
const POISON: u32 = 500;
/// So many calls take down their workers.
const CRASHES: u32 = 2;
/// A soak that takes longer hangs.
const LONGEST: Duration = Duration::from_secs(900);
const LOOK: Duration = Duration::from_millis(50);

/// What was stored.
#[derive(Default)]
struct Stored {
    /// The calls that must end as dead letters.
    poison: HashMap<Ticket, Call>,
    crashing: HashSet<Call>,
}

/// Runs the plan; whether everything that was promised was kept.
#[tokio::main]
pub(crate) async fn run(plan: &Plan) -> Result<bool> {
    // The log is kept on a server of its own, so that it costs the other one nothing.
    let (server, log_server) = (RedisServer::start(), RedisServer::start());
    let log = Log::open(&log_server.url(), 0).await?;
    let locks = LockManager::builder()
        .url(server.url())
        .owner("callers")
        .connect()
        .await?;
    locks.install()?;

    let started = Instant::now();
    let guards = hold(&locks, plan.keys).await?;
    let stored = store(plan, &log).await?;
    let storing = started.elapsed();
    let counts = locks.queue().counts().await?;
    let waiting = counts.due + counts.delayed;
    println!("stored {waiting} calls for {} locks in {storing:.1?}", plan.keys);
    ensure!(
        waiting == u64::from(plan.calls),
        "{waiting} calls are stored, of {}",
        plan.calls
    );

    let mut workers = Workers::start(plan.workers, server.url(), log_server.url(), log.clone())?;
    let started = Instant::now();
    for guard in guards {
        guard.release().await?;
    }
    drain(plan, &locks, &mut workers, started).await?;
    let running = started.elapsed();
    let (kills, crashes) = (workers.kills, workers.crashes);
    workers.stop().await?;

    let events = log.read().await?;
    let findings = judge(&events, &stored_by_key(plan), &stored.crashing);
    let dead = dead(&locks).await?;
    let wanted: HashSet<Ticket> = stored.poison.keys().copied().collect();
    let table = Table {
        plan: plan.clone(),
        storing,
        running,
        kills,
        crashes,
        findings,
        dead: dead.len(),
        poison: wanted.len(),
        dead_are_the_poison: dead == wanted,
        left_over: left_over(&server).await?,
    };
    println!("\n{table}");
    Ok(table.is_good())
}

/// Somebody else has every lock.
async fn hold(locks: &LockManager, keys: u32) -> Result<Vec<LockGuard>> {
    let held = (0..keys).map(|key| locks.lock(format!("soak:{key}")).acquire());
    Ok(try_join_all(held).await?)
}

/// Calls every function, in order for each key; each call meets a taken lock.
async fn store(plan: &Plan, log: &Log) -> Result<Stored> {
    let callers = (0..CALLERS).map(|caller| {
        let (plan, log) = (plan.clone(), log.clone());
        tokio::spawn(async move {
            let mut stored = Stored::default();
            for key in (caller..plan.keys).step_by(CALLERS as usize) {
                for number in 1..=calls_for(&plan, key) {
                    store_one(&plan, &log, (key, number), &mut stored).await?;
                }
            }
            Ok::<_, anyhow::Error>(stored)
        })
    });
    let mut all = Stored::default();
    for stored in try_join_all(callers).await? {
        let stored = stored?;
        all.poison.extend(stored.poison);
        all.crashing.extend(stored.crashing);
    }
    Ok(all)
}

async fn store_one(plan: &Plan, log: &Log, call: Call, stored: &mut Stored) -> Result<()> {
    let (key, number) = call;
    // Each call's own number, over all keys.
    let index = (number - 1) * plan.keys + key;
    let crashes = (1..=CRASHES).any(|nth| index == plan.calls / (CRASHES + 1) * nth);
    let kind = match index % POISON {
        _ if crashes => Kind::Good,
        101 => Kind::Fails,
        351 => Kind::Panics,
        _ => Kind::Good,
    };
    let outcome = if crashes {
        crash(log, key, number).await
    } else {
        step(log, key, number, kind).await
    };
    let ticket = match outcome {
        Ok(Outcome::Queued(ticket)) => ticket,
        other => anyhow::bail!("the call {number} for {key} was not stored: {other:?}"),
    };
    if crashes {
        stored.crashing.insert(call);
    }
    if crashes || kind != Kind::Good {
        stored.poison.insert(ticket, call);
    }
    Ok(())
}

/// The calls are spread over the keys, the rest over the first ones.
fn calls_for(plan: &Plan, key: u32) -> u32 {
    plan.calls / plan.keys + u32::from(key < plan.calls % plan.keys)
}

fn stored_by_key(plan: &Plan) -> HashMap<u32, u32> {
    (0..plan.keys).map(|key| (key, calls_for(plan, key))).collect()
}

/// Until no call is left that is not dead. Workers are killed meanwhile.
async fn drain(plan: &Plan, locks: &LockManager, workers: &mut Workers, started: Instant) -> Result<()> {
    let queue = locks.queue();
    let mut next_kill = plan.kill_every;
    let mut next_line = Duration::from_secs(2);
    loop {
        tokio::time::sleep(LOOK).await;
        workers.look().await?;
        let counts = queue.counts().await?;
        let left = counts.due + counts.delayed + counts.running;
        if left == 0 {
            return Ok(());
        }
        let now = started.elapsed();
        ensure!(now < LONGEST, "{left} calls are left after {now:.0?}: {counts:?}");
        if now > next_kill {
            // Between no time and twice the mean.
            next_kill = now + plan.kill_every.mul_f64(2.0 * fastrand::f64());
            workers.kill_one().await?;
        }
        if now > next_line {
            next_line = now + Duration::from_secs(2);
            println!(
                "{:>4} s: {left} left ({} running), {} dead, {} kills",
                now.as_secs(),
                counts.running,
                counts.dead,
                workers.kills
            );
        }
    }
}

async fn dead(locks: &LockManager) -> Result<HashSet<Ticket>> {
    const PAGE: u32 = 500;
    let mut dead = HashSet::new();
    loop {
        let page = locks.queue().dead_letters(dead.len() as u64, PAGE).await?;
        let ended = page.len() < PAGE as usize;
        dead.extend(page.iter().map(lock_runtime::QueuedCall::ticket));
        if ended {
            return Ok(dead);
        }
    }
}

/// Locks that nobody holds any more, after the ttl of the workers that were killed.
async fn left_over(server: &RedisServer) -> Result<usize> {
    let client = redis::Client::open(server.url())?;
    let mut connection = client.get_multiplexed_async_connection().await.context("the server")?;
    let start = Instant::now();
    loop {
        let keys: Vec<String> = redis::cmd("KEYS").arg("lock:*").query_async(&mut connection).await?;
        if keys.is_empty() || start.elapsed() > Duration::from_secs(5) {
            return Ok(keys.len());
        }
        tokio::time::sleep(LOOK).await;
    }
}
