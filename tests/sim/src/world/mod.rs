//! The simulated world: servers, machines, the links between them, and one step after the other.

mod faults;
mod host;
mod machine;
mod network;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use machine::TrueClock;

use self::faults::Under;
use self::host::Host;
use self::machine::Machine;
use self::network::{Socket, kernel};
use crate::observer::Observer;
use crate::plan::Plan;
use crate::program::{self, Context};
use crate::server::resp::Reply;
use crate::server::{Server, ServerClock};

/// How much time goes by in one step.
pub const STEP: Duration = Duration::from_millis(2);
/// How long after the chaos everything must be over.
const LIMIT: Duration = Duration::from_secs(40);
/// How long after the chaos the last of what was held up has arrived.
const SETTLED: Duration = Duration::from_millis(100);
/// How long tasks may outlive their manager: a release is tried for 30 s.
const LINGER: Duration = Duration::from_secs(35);

/// One run.
pub(crate) struct World {
    plan: Arc<Plan>,
    sim: turmoil::Sim<'static>,
    observer: Arc<Mutex<Observer>>,
    servers: Vec<Host>,
    machines: Vec<Option<Machine>>,
    sockets: Vec<Socket>,
    /// How often each machine was started.
    lives: Vec<u64>,
    under: Under,
}

impl World {
    /// Everything is there, and nothing has begun.
    pub(crate) fn new(plan: &Plan, printed: bool) -> std::io::Result<Self> {
        // The library's own draws: jitter, and what else is left to chance.
        fastrand::seed(plan.seed);
        let plan = Arc::new(plan.clone());
        let mut sim = turmoil::Builder::new()
            .rng_seed(plan.seed)
            .tick_duration(STEP)
            .simulation_duration(Duration::from_secs(3_600))
            .epoch(std::time::UNIX_EPOCH)
            .min_message_latency(STEP)
            .max_message_latency(plan.latency)
            .tcp_capacity(4_096)
            .enable_random_order()
            .build();
        let servers: Vec<_> = (0..plan.servers)
            .map(|index| {
                let clock = ServerClock {
                    faster: plan.rates[index],
                    ahead: plan.ahead[index],
                };
                Host::new(Server::new(server(index), clock))
            })
            .collect();
        for (index, host) in servers.iter().enumerate() {
            let host = host.clone();
            sim.host(server(index), move || host.clone().serve());
        }
        let observer = Observer::new(plan.servers, plan.beyond, printed);
        let mut world = Self {
            sim,
            observer: Arc::new(Mutex::new(observer)),
            servers,
            machines: Vec::new(),
            sockets: Vec::new(),
            lives: vec![0; plan.machines],
            under: Under::default(),
            plan,
        };
        for index in 0..world.plan.machines {
            let socket = Socket::default();
            world.sockets.push(socket.clone());
            world.machines.push(None);
            world.sim.host(machine(index), move || kernel(socket.clone()));
            world.start_machine(index)?;
        }
        Ok(world)
    }

    /// Runs until every process has ended well, or something is wrong.
    pub(crate) fn run(&mut self) -> Result<(), Box<dyn std::error::Error>> {
        let plan = Arc::clone(&self.plan);
        let longest = plan.longest() + 2 * STEP;
        loop {
            let now = self.sim.elapsed();
            self.faults(now)?;
            self.sim.step()?;
            let now = self.sim.elapsed();
            self.note_scripts();
            let mut running = false;
            for index in 0..self.machines.len() {
                running |= self.step_machine(index, now);
            }
            let guards: Vec<_> = self.servers.iter().map(Host::server).collect();
            let servers: Vec<&Server> = guards.iter().map(|guard| &**guard).collect();
            let mut observer = lock(&self.observer);
            observer.compare(&servers, now);
            observer.count_fences(&servers, now);
            observer.no_lock_for_ever(&servers, longest, now);
            let over = !running && now > plan.chaos && self.under.is_calm();
            if over {
                observer.nothing_left(&servers, plan.chaos + SETTLED, now);
            } else if now > plan.chaos + LIMIT {
                observer.violation(now, "the run does not end");
            }
            if over || !observer.violations.is_empty() {
                break;
            }
        }
        self.look_for_tasks();
        Ok(())
    }

    /// The observer, for what is left to say.
    pub(crate) fn observer(&self) -> MutexGuard<'_, Observer> {
        lock(&self.observer)
    }

    /// The true time.
    pub(crate) fn now(&self) -> Duration {
        self.sim.elapsed()
    }

    fn start_machine(&mut self, index: usize) -> std::io::Result<()> {
        self.lives[index] += 1;
        let network = self.sockets[index].open();
        let (observer, plan) = (Arc::clone(&self.observer), Arc::clone(&self.plan));
        let life = self.lives[index];
        let started = Machine::start(self.sim.elapsed(), move |clock| {
            let context = Context {
                machine: index,
                life,
                clock,
                observer,
                plan,
            };
            program::main(context, network)
        })?;
        self.machines[index] = Some(started);
        Ok(())
    }

    /// Whether the machine is, or will be, at work.
    fn step_machine(&mut self, index: usize, now: Duration) -> bool {
        let Some(machine) = &mut self.machines[index] else {
            return true;
        };
        machine.run_to(now, STEP);
        let ended = machine.has_ended();
        let mut observer = lock(&self.observer);
        if machine.is_awake(now, STEP) {
            let _inside = machine.enter();
            observer.look(index, now, STEP);
        }
        match ended {
            Ok(ended) => !ended,
            Err(error) => {
                observer.violation(now, &format!("m{index}: {error}"));
                false
            }
        }
    }

    /// What the servers' scripts did in the last step.
    fn note_scripts(&self) {
        let mut observer = lock(&self.observer);
        for (index, host) in self.servers.iter().enumerate() {
            let mut server = host.server();
            let name = server.name.clone();
            for done in std::mem::take(&mut server.done) {
                let lock = done.keys.first().map(Vec::as_slice).unwrap_or_default();
                if done.script == "release" {
                    observer.released(index, lock, &done.first, done.reply == Reply::Int(1), done.at);
                }
                if done.script == "turn" {
                    observer.waits(&done.first, done.at);
                }
                for (claim, fence) in done.grants() {
                    observer.voted(index, lock, claim, fence, done.at);
                }
                if let ("renew", Reply::Bulk(answers)) = (done.script.as_str(), &done.reply)
                    && answers
                        .iter()
                        .zip(&done.held)
                        .any(|(answer, held)| *answer == b'1' && !held)
                {
                    observer.violation(done.at, &format!("{name}: a renewal has created what it did not find"));
                }
                let claim = match done.script.as_str() {
                    "acquire" | "turn" | "vote" | "renew" | "release" => observer.trace.token(&done.first),
                    _ => String::new(),
                };
                let reply = show(&mut observer, &done.reply);
                let lock = match String::from_utf8_lossy(lock) {
                    // Random, as the tokens are.
                    channel if channel.starts_with("distributed-lock:granted:") => {
                        format!("distributed-lock:granted:{}", observer.trace.token(lock))
                    }
                    lock => lock.into_owned(),
                };
                let text = format!("{name} {} {lock} {claim} for {}: {reply}", done.script, done.session);
                observer.trace.add(done.at, &text);
            }
            for stranger in std::mem::take(&mut server.strangers) {
                observer.violation(
                    self.sim.elapsed(),
                    &format!("{name} was sent a script without a twin:\n{stranger}"),
                );
            }
        }
    }

    /// Everything that was started ends by itself.
    fn look_for_tasks(&mut self) {
        for (index, machine) in self.machines.iter().enumerate() {
            let observer = lock(&self.observer);
            if !observer.violations.is_empty() {
                return;
            }
            drop(observer);
            let left = machine.as_ref().map_or(0, |machine| machine.tasks_after(LINGER));
            if left > 0 {
                let text = format!("m{index}: {left} tasks are left {LINGER:?} after the shutdown");
                lock(&self.observer).violation(self.sim.elapsed(), &text);
            }
        }
    }
}

/// A reply without random tokens.
fn show(observer: &mut Observer, reply: &Reply) -> String {
    match reply {
        Reply::Int(number) => number.to_string(),
        // Fences are no random tokens.
        Reply::Bulk(text) if text.iter().all(u8::is_ascii_digit) => String::from_utf8_lossy(text).into_owned(),
        Reply::Bulk(text) => observer.trace.token(text),
        Reply::Array(parts) => {
            let parts: Vec<_> = parts.iter().map(|part| show(observer, part)).collect();
            format!("[{}]", parts.join(", "))
        }
        other => format!("{other:?}"),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn server(index: usize) -> String {
    format!("s{}", index + 1)
}

fn machine(index: usize) -> String {
    format!("m{index}")
}
