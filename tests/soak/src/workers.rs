//! The worker processes: started, killed at random, and replaced.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lock_tests::process::{self, Owned};

use crate::log::Log;

pub(crate) struct Workers {
    locks: String,
    log_url: String,
    log: Log,
    alive: Vec<(u32, Owned)>,
    lives: u32,
    /// By us.
    pub(crate) kills: u32,
    /// By the calls that take down whoever runs them.
    pub(crate) crashes: u32,
}

impl Workers {
    pub(crate) fn start(count: u32, locks: String, log_url: String, log: Log) -> Result<Self> {
        let mut workers = Self {
            locks,
            log_url,
            log,
            alive: Vec::new(),
            lives: 0,
            kills: 0,
            crashes: 0,
        };
        for _ in 0..count {
            workers.add()?;
        }
        Ok(workers)
    }

    fn add(&mut self) -> Result<()> {
        self.lives += 1;
        let life = self.lives;
        let program = std::env::current_exe().context("this program's own path")?;
        let mut command = process::command(program);
        command.args([
            "worker",
            "--locks",
            &self.locks,
            "--log",
            &self.log_url,
            "--life",
            &life.to_string(),
        ]);
        command.stdin(Stdio::piped());
        self.alive.push((life, Owned::spawn(command)));
        Ok(())
    }

    /// Kills one of them, whichever, and starts another.
    pub(crate) async fn kill_one(&mut self) -> Result<()> {
        let (life, mut process) = self.alive.swap_remove(fastrand::usize(..self.alive.len()));
        process.kill();
        self.kills += 1;
        self.log.killed(life).await?;
        self.add()
    }

    /// Replaces those that went down by themselves.
    pub(crate) async fn look(&mut self) -> Result<()> {
        for index in (0..self.alive.len()).rev() {
            let Some(status) = self.alive[index].1.ended() else {
                continue;
            };
            // A poison takes it down by a signal; whatever else ends it is a fault of its own.
            ensure!(status.code().is_none(), "a worker ended by itself: {status}");
            let (life, _) = self.alive.swap_remove(index);
            self.crashes += 1;
            self.log.killed(life).await?;
            self.add()?;
        }
        Ok(())
    }

    /// Tells all of them to stop, and waits until they have.
    pub(crate) async fn stop(mut self) -> Result<()> {
        for (_, process) in &mut self.alive {
            drop(process.child().stdin.take());
        }
        for (life, process) in &mut self.alive {
            lock_tests::eventually(
                "a worker that was told to stop ends",
                Duration::from_secs(20),
                async || process.ended().is_some(),
            )
            .await;
            ensure!(
                process.ended().is_some_and(|status| status.success()),
                "the worker of life {life} failed"
            );
        }
        Ok(())
    }
}
