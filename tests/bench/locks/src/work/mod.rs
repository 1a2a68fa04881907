//! A process that does one job: reads it, gets ready, waits for the word, works, prints what came out.

mod contended;
mod expiry;
mod handoff;
mod renewal;
mod sequential;
mod warnings;

use std::io::{BufRead, Write};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::clients::{self, ByHand, Client, DistributedLock, Grant, Ours, Raw, RawMajority, Scripts};
use crate::clock;
use crate::job::{Job, Kind, Outcome, Task};

/// Does the job that comes as the first line of the standard input.
///
/// # Errors
/// When the job cannot be done.
pub(crate) fn main() -> Result<()> {
    let job: Job = serde_json::from_str(&line()?).context("a job")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // As a task, where a program's calls are too: the future of `block_on` has a thread of its own, and every answer
    // would have to wake it.
    let outcome = runtime.block_on(runtime.spawn(dispatch(job)));
    // Not waited for: some clients leave tasks behind that wait for a server.
    runtime.shutdown_background();
    say(&outcome??)
}

async fn dispatch(job: Job) -> Result<Outcome> {
    let servers = job.servers.as_slice();
    let first = servers.first().context("a server")?.clone();
    match &job.task {
        Task::Renewal { .. } => return renewal::hold(&job).await,
        Task::RenewEach { leases, times } => return renewal::each(&first, *leases, *times).await,
        Task::Dies { keys, ttl } => return expiry::dies(servers, *keys, *ttl).await,
        _ => {}
    }
    match job.client {
        Kind::Raw if servers.len() > 1 => run(RawMajority::open(servers).await?, &job).await,
        Kind::Raw => run(Raw::open(&first).await?, &job).await,
        Kind::Scripts => run(Scripts::open(&first).await?, &job).await,
        Kind::Ours => run(Ours::open(servers, true).await?, &job).await,
        Kind::OursWithoutHandOver => run(Ours::open(servers, false).await?, &job).await,
        Kind::OursByHand => run(ByHand::open(servers).await?, &job).await,
        Kind::Rslock => run(clients::Rslock::open(servers, None), &job).await,
        Kind::RslockTuned => {
            let pause = Duration::from_millis(10);
            run(clients::Rslock::open(servers, Some(pause)), &job).await
        }
        Kind::DistributedLock => run(DistributedLock::open(servers).await?, &job).await,
        Kind::Grant => run(Grant::open(&first).await?, &job).await,
    }
}

async fn run<C: Client>(client: C, job: &Job) -> Result<Outcome> {
    match &job.task {
        Task::Sequential { warm, cycles } => sequential::one_after_the_other(&client, *warm, *cycles).await,
        Task::OwnKeys { tasks, milliseconds } => {
            sequential::side_by_side(client, *tasks, Duration::from_millis(*milliseconds)).await
        }
        Task::OneKey {
            tasks,
            each,
            body_microseconds,
        } => {
            let body = Duration::from_micros(*body_microseconds);
            contended::one_key(client, *tasks, *each, body).await
        }
        Task::HandOff { times, hot } => handoff::holder(&client, job, *times, *hot).await,
        Task::Wait => handoff::waiter(&client).await,
        Task::Expiry { keys, times, ttl } => expiry::foreign(client, job, *keys, *times, *ttl).await,
        Task::Killed { keys, ttl } => expiry::killed(client, job, *keys, *ttl).await,
        other => bail!("{other:?} needs no client of one library"),
    }
}

/// Says that everything is ready, and waits until the moment at which to begin.
async fn ready() -> Result<Started> {
    // Nothing else runs on this task, and the connections have threads of their own.
    let begin: u64 = {
        say(&"ready")?;
        line()?.trim().parse().context("a moment to begin at")?
    };
    let left = Duration::from_nanos(begin.saturating_sub(clock::now()));
    if !left.is_zero() {
        tokio::time::sleep(left).await;
    }
    Ok(Started {
        at: clock::now(),
        processor: clock::processor(),
    })
}

/// When the timed part began.
struct Started {
    at: u64,
    processor: u64,
}

impl Started {
    fn over(&self, samples: Vec<f64>) -> Outcome {
        Outcome {
            wall: clock::now() - self.at,
            processor: clock::processor() - self.processor,
            count: samples.len() as u64,
            samples,
            ..Outcome::default()
        }
    }
}

fn line() -> Result<String> {
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line)?;
    if read == 0 {
        bail!("nobody is there who would say what to do");
    }
    Ok(line)
}

fn say(what: &impl Serialize) -> Result<()> {
    let mut output = std::io::stdout().lock();
    serde_json::to_writer(&mut output, what)?;
    output.write_all(b"\n")?;
    Ok(output.flush()?)
}

/// Runs the same on many tasks, and gives what each of them had.
async fn on_tasks<T, F>(tasks: u32, make: impl Fn(u32) -> F) -> Result<Vec<T>>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let mut set = tokio::task::JoinSet::new();
    for task in 0..tasks {
        set.spawn(make(task));
    }
    let mut all = Vec::new();
    while let Some(one) = set.join_next().await {
        all.push(one??);
    }
    Ok(all)
}

/// For all tasks of a process.
fn shared<T>(value: T) -> Arc<T> {
    Arc::new(value)
}
