//! The client processes, as the parent has them: started, killed, paused, ended.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{ChildStdin, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use fastrand::Rng;
use lock_tests::process::{self, Owned};

use crate::clock;
use crate::flags::Plan;
use crate::protocol;
use crate::record::Shared;

/// The longest that a client may take to finish what it is doing: its calls wait 2 s at most, bodies take 4 s, an
/// acquire may take 5 s to fail, and a shutdown has 4 s.
const FINISH: Duration = Duration::from_secs(40);

/// All clients of a run.
pub(crate) struct Clients {
    program: PathBuf,
    /// The same for all, but for the seed.
    arguments: Vec<String>,
    record: Arc<Shared>,
    seeds: Rng,
    /// Numbers the processes.
    next: u32,
    running: Vec<Client>,
}

struct Client {
    number: u32,
    process: Owned,
    /// Its end is the client's sign to finish.
    input: Option<ChildStdin>,
}

impl Clients {
    /// No client yet.
    ///
    /// # Errors
    /// When this program does not know where it is.
    pub(crate) fn new(plan: &Plan, url: &str, resource: &str, seeds: Rng, record: Arc<Shared>) -> Result<Clients> {
        let tasks = plan.tasks.to_string();
        let mut arguments = vec!["client", "--url", url, "--resource", resource, "--tasks", &tasks];
        if plan.without_fences {
            arguments.push("--without-fences");
        }
        Ok(Clients {
            program: std::env::current_exe().context("where is this program?")?,
            arguments: arguments.into_iter().map(str::to_owned).collect(),
            record,
            seeds,
            next: 0,
            running: Vec::new(),
        })
    }

    /// Starts one more.
    ///
    /// # Errors
    /// When it has no pipes.
    pub(crate) fn start(&mut self) -> Result<()> {
        let mut command = process::command(&self.program);
        command
            .args(&self.arguments)
            .args(["--seed", &self.seeds.u64(..).to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = Owned::spawn(command);
        let input = process.child().stdin.take();
        let output = process.child().stdout.take().context("a client has an output")?;
        let number = self.next;
        self.next += 1;
        self.record.lock().started(number);
        let record = Arc::clone(&self.record);
        thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                let Ok(line) = line else { break };
                let parsed = protocol::parse(&line);
                record.lock().heard(number, parsed, &line);
            }
            record.lock().gone(number, clock::now());
        });
        self.running.push(Client { number, process, input });
        Ok(())
    }

    /// Kills one of them, and starts another one.
    ///
    /// # Errors
    /// As [`Clients::start`].
    pub(crate) fn kill_one(&mut self, random: &mut Rng) -> Result<()> {
        let Some(victim) = random.choice(0..self.running.len()) else {
            return Ok(());
        };
        let mut victim = self.running.swap_remove(victim);
        // In this order: or the end of its output would look like a crash.
        self.record.lock().killed(victim.number);
        victim.process.kill();
        self.start()
    }

    /// Lets one of them stand still for so long.
    pub(crate) fn pause_one(&self, length: Duration, random: &mut Rng) {
        if let Some(sleeper) = random.choice(&self.running) {
            let from = clock::now();
            sleeper.process.pause();
            thread::sleep(length);
            sleeper.process.resume();
            self.record.lock().paused(sleeper.number, from, clock::now());
        }
    }

    /// Lets all of them finish, and waits until they are gone.
    ///
    /// # Errors
    /// When one does not end.
    pub(crate) fn finish(&mut self) -> Result<()> {
        for client in &mut self.running {
            client.input = None;
        }
        let start = Instant::now();
        for mut client in self.running.drain(..) {
            while client.process.ended().is_none() {
                if start.elapsed() > FINISH {
                    bail!("client {} does not end", client.number);
                }
                thread::sleep(Duration::from_millis(10));
            }
        }
        // The last lines of the last one are read by a thread of their own.
        while self.record.lock().anybody_left() {
            if start.elapsed() > FINISH {
                bail!("a client's output does not end");
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}
