//! A client's process: a runtime of its own, which the simulation runs a step at a time, or does not.

use std::future::Future;
use std::time::Duration;

use tokio::runtime::{Builder, EnterGuard, Runtime};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// The true time, as a process can read it: its clock goes right, and jumps when it was paused.
#[derive(Debug, Clone, Copy)]
pub struct TrueClock {
    /// The true time when the process began, and what its runtime's clock said then.
    began: (Duration, Instant),
}

impl TrueClock {
    /// Now. To be asked inside the process.
    #[must_use]
    pub fn now(self) -> Duration {
        self.began.0 + Instant::now().duration_since(self.began.1)
    }
}

/// A process.
pub(super) struct Machine {
    runtime: Runtime,
    /// To here it has run.
    now: Duration,
    /// Not run before this moment.
    paused_until: Duration,
    pub(super) main: Option<JoinHandle<()>>,
}

impl Machine {
    /// Starts a process at the true time `now`.
    pub(super) fn start<F>(now: Duration, main: impl FnOnce(TrueClock) -> F) -> std::io::Result<Self>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        // Time only: nothing here may reach the machine that the simulation runs on.
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build()?;
        // To a whole millisecond of its timers.
        let began = runtime.block_on(async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Instant::now()
        });
        let clock = TrueClock { began: (now, began) };
        let main = Some(runtime.spawn(main(clock)));
        Ok(Self {
            runtime,
            now,
            paused_until: now,
            main,
        })
    }

    /// Stops it until the true time `until`.
    pub(super) fn pause(&mut self, until: Duration) {
        self.paused_until = self.paused_until.max(until);
    }

    /// Whether it runs, and has been running for the last step: a process that has just been woken may be late with
    /// everything.
    pub(super) fn is_awake(&self, now: Duration, step: Duration) -> bool {
        self.paused_until + 2 * step < now
    }

    /// Runs it up to `now`, unless it is paused.
    pub(super) fn run_to(&mut self, now: Duration, step: Duration) {
        if now < self.paused_until {
            return;
        }
        let behind = now.saturating_sub(self.now);
        self.now = now;
        self.runtime.block_on(async {
            if behind > step {
                // It wakes, and its clock has gone on.
                tokio::time::advance(behind.saturating_sub(step)).await;
            }
            tokio::time::sleep(behind.min(step)).await;
        });
    }

    /// Lets it alone for so long by its own clock, with a network that is silent. How many tasks are left then.
    pub(super) fn tasks_after(&self, time: Duration) -> usize {
        self.runtime.block_on(async { tokio::time::sleep(time).await });
        self.runtime.metrics().num_alive_tasks()
    }

    /// For questions that are asked inside the process.
    pub(super) fn enter(&self) -> EnterGuard<'_> {
        self.runtime.enter()
    }

    /// Whether its main task has ended; `Err` with what it panicked with.
    pub(super) fn has_ended(&mut self) -> Result<bool, String> {
        match &mut self.main {
            Some(main) if main.is_finished() => {
                let ended = self.runtime.block_on(main);
                self.main = None;
                ended.map(|()| true).map_err(|error| error.to_string())
            }
            Some(_) => Ok(false),
            None => Ok(true),
        }
    }
}
