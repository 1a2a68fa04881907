//! What a client process does: it wants locks, in every way there is, until the chaos is over; then once more in peace.

mod actions;
mod holding;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use lock_runtime::simulation::Network;
use lock_runtime::{LockError, LockManager, LockRequest};

use crate::observer::Observer;
use crate::plan::{Plan, millis, pick};
use crate::world::TrueClock;

/// A process and what it may ask.
#[derive(Clone)]
pub struct Context {
    /// Which machine.
    pub machine: usize,
    /// Which life of it.
    pub life: u64,
    /// The true time.
    pub clock: TrueClock,
    /// Is told everything.
    pub observer: Arc<Mutex<Observer>>,
    /// The run.
    pub plan: Arc<Plan>,
}

/// How long a lock may take to be free in peace. All leases, and a server's time without a vote, are shorter.
const PATIENCE: Duration = Duration::from_secs(15);
/// A shutdown's time for bodies; and for all of it, with half a second for those that are told, and two for releases.
const GRACE: Duration = Duration::from_secs(1);
const SHUTDOWN: Duration = Duration::from_millis(3_600);

impl Context {
    /// Never held across an await.
    pub(crate) fn observer(&self) -> MutexGuard<'_, Observer> {
        self.observer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn violation(&self, text: &str) {
        let now = self.clock.now();
        self.observer().violation(now, &format!("m{}: {text}", self.machine));
    }

    fn note(&self, text: &str) {
        let now = self.clock.now();
        self.observer().trace.add(now, &format!("m{} {text}", self.machine));
    }

    /// Counts how an acquire failed.
    fn failed(&self, error: &LockError) {
        let tally = |observer: &mut Observer| {
            if error.is_conflict() {
                observer.tally.conflicts += 1;
            } else {
                observer.tally.unavailable += 1;
            }
        };
        tally(&mut self.observer());
        if error.is_conflict() || error.is_unavailable() {
            self.note(if error.is_conflict() {
                "is refused"
            } else {
                "gets no answer"
            });
        } else if !error.is_lost() {
            self.violation(&format!("an error that nothing explains: {error}"));
        }
    }
}

/// The process, from its start to its end.
pub async fn main(context: Context, network: Arc<dyn Network>) {
    let Some(manager) = connect(&context, network).await else {
        return;
    };
    let seed = |worker: u64| context.plan.seed.wrapping_mul(31).wrapping_add(worker);
    let workers: Vec<_> = (0..context.plan.workers)
        .map(|worker| {
            let worker = u64::try_from(worker + 100 * context.machine).unwrap_or_default();
            let rng = Rng::with_seed(seed(worker + 10_000 * context.life));
            tokio::spawn(actions::work(context.clone(), manager.clone(), rng))
        })
        .collect();
    for worker in workers {
        if let Err(error) = worker.await {
            context.violation(&format!("a worker: {error}"));
        }
    }
    in_peace(&context, &manager).await;
    let began = context.clock.now();
    context.observer().shuts_down(context.machine, began);
    manager.shutdown(GRACE).await;
    let took = context.clock.now().saturating_sub(began);
    context.note("has shut down");
    if took > SHUTDOWN {
        context.violation(&format!("the shutdown took {took:?}"));
    }
}

async fn connect(context: &Context, network: Arc<dyn Network>) -> Option<LockManager> {
    let servers = (1..=context.plan.servers).map(|server| format!("redis://s{server}:6379"));
    let servers: Vec<_> = servers.collect();
    loop {
        let builder = LockManager::builder()
            .network(Arc::clone(&network))
            .owner(format!("m{}", context.machine));
        let builder = match servers.as_slice() {
            [one] => builder.url(one),
            several => builder.redlock(several.iter().cloned()),
        };
        match builder.connect().await {
            Ok(manager) => return Some(manager),
            Err(error) if error.is_unavailable() && context.clock.now() < context.plan.chaos + PATIENCE => {
                context.note("cannot connect");
                tokio::time::sleep(millis(20)).await;
            }
            Err(error) => {
                context.violation(&format!("it cannot connect: {error}"));
                return None;
            }
        }
    }
}

/// Nothing is wrong any more: every lock can be had, kept, and given back.
async fn in_peace(context: &Context, manager: &LockManager) {
    for key in 0..context.plan.keys {
        let asked = context.clock.now();
        let request = manager.lock(name(key)).ttl(context.plan.longest()).wait(PATIENCE);
        let guard = match request.acquire().await {
            Ok(guard) => guard,
            Err(error) => {
                context.violation(&format!("in peace, `{}` cannot be had: {error}", name(key)));
                continue;
            }
        };
        let held = holding::Held::new(context, guard.lease(), asked);
        tokio::time::sleep(millis(5)).await;
        drop(held);
        if let Err(error) = guard.release().await {
            context.violation(&format!("in peace, `{}` cannot be given back: {error}", name(key)));
        }
        // Given up half-way, it leaves nothing behind either: not for a whole lease.
        let request = manager.lock(name(key)).ttl(context.plan.longest());
        let patience = context.plan.latency.mul_f64(0.5) + millis(1);
        if let Ok(Ok(guard)) = tokio::time::timeout(patience, request.acquire()).await {
            drop(guard);
        }
    }
}

fn name(key: usize) -> String {
    format!("k{key}")
}

/// A request with options by chance.
fn request(context: &Context, manager: &LockManager, rng: &mut Rng) -> LockRequest {
    let ttl = *pick(rng, &context.plan.ttls);
    let mut request = manager.lock(name(rng.usize(..context.plan.keys))).ttl(ttl);
    request = match rng.u32(..4) {
        0 => request.wait(Duration::ZERO),
        _ => request.wait(millis(rng.u64(10..1_200))),
    };
    request = match rng.u32(..6) {
        0 => request.never_renew(),
        1 => request.renew_every(ttl / 2),
        _ => request,
    };
    if rng.u32(..3) == 0 {
        request = request.backoff(millis(1), millis(20));
    }
    if rng.u32(..10) == 0 {
        request = request.max_hold(ttl + millis(rng.u64(..200)));
    }
    if rng.u32(..10) == 0 {
        request = request.hold_at_least(ttl.mul_f64(rng.f64()).max(millis(1)));
    }
    request
}
