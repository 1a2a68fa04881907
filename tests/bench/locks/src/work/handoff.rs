//! From the end of a body to the beginning of the next, in another process.
//!
//! The holder starts the other process itself and talks to it over its pipes: `held` is the word to ask for the lock,
//! and the moment at which its body began comes back.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout, Command};

use super::{ready, say};
use crate::clients::Client;
use crate::clock::{micros, now};
use crate::job::{Job, Outcome, Task};

const KEY: u32 = 2000;
const WARM: u32 = 20;

pub(super) async fn holder(client: &impl Client, job: &Job, times: u32, hot: bool) -> Result<Outcome> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg("work")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("the process that waits")?;
    let mut input = child.stdin.take().context("a pipe")?;
    let mut output = BufReader::new(child.stdout.take().context("a pipe")?).lines();
    let order = Job {
        task: Task::Wait,
        ..job.clone()
    };
    input.write_all(serde_json::to_string(&order)?.as_bytes()).await?;
    input.write_all(b"\n").await?;
    output.next_line().await?.context("the other process is ready")?;

    for _ in 0..WARM {
        once(client, &mut input, &mut output, hot).await?;
    }
    let started = ready().await?;
    let mut samples = Vec::with_capacity(times as usize);
    for _ in 0..times {
        samples.push(once(client, &mut input, &mut output, hot).await?);
    }
    let outcome = started.over(samples);
    // The end of its input is the end of the other process.
    drop(input);
    child.wait().await?;
    Ok(outcome)
}

async fn once(
    client: &impl Client,
    input: &mut ChildStdin,
    output: &mut Lines<BufReader<ChildStdout>>,
    hot: bool,
) -> Result<f64> {
    let (mut left, mut told) = (0, Ok(()));
    client
        .enter(KEY, async {
            told = input.write_all(b"held\n").await;
            hold(hot).await;
            left = now();
        })
        .await?;
    told?;
    let entered: u64 = output.next_line().await?.context("the other process")?.parse()?;
    Ok(micros(left, entered))
}

/// Idle: long enough that all processors sleep. Hot: not long, and the processor is kept busy, but given away to whoever
/// is ready to run.
async fn hold(hot: bool) {
    if !hot {
        tokio::time::sleep(Duration::from_micros(fastrand::u64(3000..9000))).await;
        return;
    }
    let until = now() + fastrand::u64(300_000..800_000);
    while now() < until {
        std::thread::yield_now();
        tokio::task::yield_now().await;
    }
}

pub(super) async fn waiter(client: &impl Client) -> Result<Outcome> {
    say(&"ready")?;
    let mut orders = BufReader::new(tokio_stdin()?).lines();
    while orders.next_line().await?.is_some() {
        let mut entered = 0;
        client
            .enter(KEY, async {
                entered = now();
            })
            .await?;
        say(&entered)?;
    }
    Ok(Outcome::default())
}

/// The standard input as a pipe that the runtime waits for; `tokio::io::stdin` would take a thread for each line.
fn tokio_stdin() -> Result<tokio::net::unix::pipe::Receiver> {
    use std::os::fd::AsFd as _;
    let pipe = std::io::stdin().as_fd().try_clone_to_owned()?;
    Ok(tokio::net::unix::pipe::Receiver::from_owned_fd(pipe)?)
}
