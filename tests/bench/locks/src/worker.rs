//! A process of the bench, as the driver sees it.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use lock_tests::process::{Owned, command};

use crate::clock;
use crate::job::{Job, Outcome};
use crate::server::PINNED_TO;

/// Killed when dropped.
pub(crate) struct Worker {
    // Its pipe is closed first.
    input: ChildStdin,
    process: Owned,
    lines: Receiver<String>,
    limit: Instant,
}

impl Worker {
    /// Starts this program for one job; what it says must be said within the time limit.
    pub(crate) fn start(job: &Job, pinned: bool, limit: Duration) -> Result<Worker> {
        let program = std::env::current_exe()?.into_os_string();
        Worker::start_program(&[program, "work".into()], &serde_json::to_string(job)?, pinned, limit)
    }

    /// Starts any program that keeps to the same protocol: the job as a line, `ready`, a moment, an outcome.
    pub(crate) fn start_program(
        words: &[std::ffi::OsString],
        job: &str,
        pinned: bool,
        limit: Duration,
    ) -> Result<Worker> {
        let mut words = words.iter();
        let program = words.next().context("a program")?;
        let mut command = if pinned {
            let mut command = command("taskset");
            command.args(["-c", PINNED_TO]).arg(program);
            command
        } else {
            command(program)
        };
        command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Owned::spawn(command);
        let mut input = process.child().stdin.take().context("a pipe")?;
        let output = process.child().stdout.take().context("a pipe")?;
        writeln!(input, "{job}")?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let limit = Instant::now() + limit;
        Ok(Worker {
            input,
            process,
            lines,
            limit,
        })
    }

    /// Waits until it has connected and warmed up.
    pub(crate) fn ready(&mut self) -> Result<()> {
        let line = self.line()?;
        if line != "\"ready\"" {
            bail!("not ready: {line}");
        }
        Ok(())
    }

    /// Lets it begin at this moment.
    pub(crate) fn go(&mut self, moment: u64) -> Result<()> {
        writeln!(self.input, "{moment}")?;
        Ok(self.input.flush()?)
    }

    /// Waits for what came out.
    pub(crate) fn outcome(mut self) -> Result<Outcome> {
        let line = self.line()?;
        serde_json::from_str(&line).with_context(|| format!("no outcome: {line:.200}"))
    }

    /// All in one.
    pub(crate) fn run(mut self) -> Result<Outcome> {
        self.ready()?;
        self.go(clock::now())?;
        self.outcome()
    }

    fn line(&mut self) -> Result<String> {
        let left = self.limit.saturating_duration_since(Instant::now());
        self.lines.recv_timeout(left).map_err(|error| {
            self.process.kill();
            anyhow!(match error {
                std::sync::mpsc::RecvTimeoutError::Timeout => "did not finish in time",
                std::sync::mpsc::RecvTimeoutError::Disconnected => "ended with an error",
            })
        })
    }
}
