//! The worker: a process of its own where the calls are on a server, so that it can really be killed; a task where they are
//! in this process.

use std::env;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lock_examples::Replica;
use lock_runtime::{CallState, LockError, LockManager};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::Failure;

/// Tells a process of this program that it is a worker: which one, and of which run.
const ROLE: &str = "QUEUE_ORDERS_WORKER";
/// How soon another worker may take the call of one that was killed.
const LEASE: Duration = Duration::from_secs(2);

/// A worker that can be killed.
pub(crate) struct Worker {
    name: &'static str,
    locks: LockManager,
    life: Life,
}

enum Life {
    Task(JoinHandle<Result<(), LockError>>, oneshot::Sender<()>),
    /// It stops when its standard input ends.
    Process(Child),
}

impl Worker {
    /// Starts a worker for the calls that are stored where `locks` are.
    pub(crate) async fn start(locks: &LockManager, name: &'static str) -> Result<Self, Failure> {
        let life = if lock_examples::is_in_this_process() {
            let worker = Replica {
                name,
                locks: lock_examples::replica("queue-orders", std::process::id(), name)
                    .await?
                    .locks,
            };
            let (stop, stopped) = oneshot::channel();
            Life::Task(tokio::spawn(work(worker, stopped)), stop)
        } else {
            let role = format!("{name} {}", std::process::id());
            let child = Command::new(env::current_exe()?)
                .env(ROLE, role)
                .stdin(Stdio::piped())
                .spawn()?;
            Life::Process(child)
        };
        println!("   {name:<10} is started");
        let locks = locks.clone();
        Ok(Self { name, locks, life })
    }

    /// Waits until it is in the middle of the call that has this in its arguments.
    pub(crate) async fn has_begun(&self, call: &str) -> Result<(), Failure> {
        loop {
            let running = self.locks.queue().list(CallState::Running, 0, 10).await?;
            if let Some(running) = running.iter().find(|running| running.arguments().contains(call)) {
                let holder = self.locks.inspect(running.key().clone()).await?;
                if holder.is_some_and(|holder| holder.owner() == self.name) {
                    return Ok(());
                }
            }
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Ends it at once, in the middle of whatever it does.
    pub(crate) async fn kill(&mut self) -> Result<(), Failure> {
        match &mut self.life {
            Life::Task(worker, _) => worker.abort(),
            Life::Process(worker) => {
                worker.kill()?;
                worker.wait()?;
            }
        }
        println!("   {:<10} is killed", self.name);
        Ok(())
    }

    /// Tells it to stop, and waits until it has.
    pub(crate) async fn stop(self) -> Result<(), Failure> {
        match self.life {
            Life::Task(worker, stop) => {
                drop(stop);
                worker.await??;
            }
            Life::Process(mut worker) => {
                drop(worker.stdin.take());
                while worker.try_wait()?.is_none() {
                    sleep(Duration::from_millis(5)).await;
                }
            }
        }
        println!("   {:<10} has stopped", self.name);
        Ok(())
    }
}

/// The role of this process, if it is a worker's.
pub(crate) fn role() -> Option<(String, u32)> {
    let role = env::var(ROLE).ok()?;
    let (name, run) = role.split_once(' ')?;
    Some((name.to_owned(), run.parse().ok()?))
}

/// The whole program of a worker's process.
pub(crate) async fn run((name, run): (String, u32)) -> Result<(), Failure> {
    // Once in the life of the process.
    let name: &'static str = name.leak();
    let worker = lock_examples::replica("queue-orders", run, name).await?;
    let (stop, stopped) = oneshot::channel();
    std::thread::spawn(move || {
        let ended = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        // However its input ended, that is the end.
        drop((ended, stop));
    });
    let locks = worker.locks.clone();
    work(worker, stopped).await?;
    locks.shutdown(Duration::from_secs(1)).await;
    Ok(())
}

/// What every worker does, until `stopped`.
async fn work(replica: Replica, stopped: oneshot::Receiver<()>) -> Result<(), LockError> {
    let locks = replica.locks.clone();
    locks
        .worker()
        .state(replica)
        .claim_lease(LEASE)
        .run_until(stopped)
        .await
}
