//! One seed, from its plan to its verdict.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;
use std::time::Duration;

use crate::observer::Tally;
use crate::plan::Plan;
use crate::world::World;

/// How a run went.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// How many servers it had.
    pub servers: usize,
    /// What happened how often.
    pub tally: Tally,
    /// What was wrong; empty: nothing.
    pub violations: Vec<String>,
    /// Over all that happened: the same for the same seed.
    pub hash: u64,
    /// How many things happened.
    pub events: u64,
    /// How long it took in the simulated world.
    pub simulated: Duration,
}

/// Runs a seed. `printed`: everything that happens goes to standard output.
#[must_use]
pub fn run(seed: u64, servers: usize, printed: bool) -> Outcome {
    run_plan(&Plan::new(seed, servers), printed)
}

/// Runs a plan.
#[must_use]
pub fn run_plan(plan: &Plan, printed: bool) -> Outcome {
    listen_for_panics();
    let mut outcome = Outcome {
        seed: plan.seed,
        servers: plan.servers,
        tally: Tally::default(),
        violations: Vec::new(),
        hash: 0,
        events: 0,
        simulated: Duration::ZERO,
    };
    let mut world = match World::new(plan, printed) {
        Ok(world) => world,
        Err(error) => {
            outcome.violations.push(error.to_string());
            return outcome;
        }
    };
    HEARD.set(Some(Vec::new()));
    let ran = panic::catch_unwind(AssertUnwindSafe(|| world.run()));
    let panics = HEARD.take().unwrap_or_default();
    let now = world.now();
    let mut observer = world.observer();
    if let Ok(Err(error)) = ran {
        observer.violation(now, &format!("the simulation: {error}"));
    }
    for text in panics {
        observer.violation(now, &format!("a panic: {text}"));
    }
    outcome.tally = observer.tally.clone();
    outcome.violations.clone_from(&observer.violations);
    (outcome.hash, outcome.events) = observer.trace.sum();
    outcome.simulated = now;
    outcome
}

thread_local! {
    /// The panics of this thread's run; `None`: none is under way.
    static HEARD: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Tasks catch their panics; but one that nobody reports is a defect, too.
fn listen_for_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let noted = HEARD.with_borrow_mut(|heard| heard.as_mut().map(|heard| heard.push(info.to_string())));
            if noted.is_none() {
                before(info);
            }
        }));
    });
}
