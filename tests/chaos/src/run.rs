//! A whole run: servers and clients come up, are broken for some time, are healed, and come to rest.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use fastrand::Rng;
use lock_tests::RedisServer;

use crate::client::TTL;
use crate::clients::Clients;
use crate::flags::Plan;
use crate::holds;
use crate::nemesis::{self, Span};
use crate::record::Shared;
use crate::resource;
use crate::servers::{self, Servers};
use crate::table::{self, Findings};

/// How much later than the ttl a key may be gone, because the machine is busy.
const SLACK: Duration = Duration::from_millis(500);

/// Runs it, and prints as it goes; whether everything that must be 0 is.
///
/// # Errors
/// When servers or clients do not do what they are told.
pub(crate) fn run(plan: &Plan) -> Result<bool> {
    println!("topology {}, seed {}", plan.topology, plan.seed);
    let mut seeds = Rng::with_seed(plan.seed);
    let counters = RedisServer::start();
    let mut servers = plan.topology.start()?;
    let record = Arc::new(Shared::default());
    let mut clients = Clients::new(plan, &servers.url(), &counters.url(), seeds.fork(), Arc::clone(&record))?;
    for _ in 0..plan.clients {
        clients.start()?;
    }

    let start = Instant::now();
    broken_for(plan, &mut *servers, &mut clients, &mut seeds, &record)?;
    servers.until_well()?;
    clients.finish()?;
    let took = start.elapsed();
    let left_over = left_over(&*servers)?;

    let record = record.lock();
    let findings = Findings {
        counted: resource::counted(&counters)?,
        holds: holds::judge(&record.holds),
        forgetful: {
            let forgetful = servers.forgetful().iter().map(|fault| fault.name());
            forgetful.filter(|name| record.faults.contains_key(name)).collect()
        },
        left_over,
    };
    println!("\n{}", table::table(plan, took, &record, &findings));
    Ok(table::is_well(&record, &findings))
}

/// Two hands break servers and clients, while this one says how it goes.
fn broken_for(
    plan: &Plan,
    servers: &mut dyn Servers,
    clients: &mut Clients,
    seeds: &mut Rng,
    record: &Shared,
) -> Result<()> {
    let length = plan.length;
    let mut faults = servers.faults().to_vec();
    faults.retain(|fault| plan.faults.is_empty() || plan.faults.contains(fault));
    ensure!(!faults.is_empty(), "none of these faults happens to this topology");
    let (for_servers, for_clients) = (seeds.fork(), seeds.fork());
    let stop = AtomicBool::new(false);
    let span = Span::new(length, &stop);
    let pause = (length / 10).clamp(Duration::from_secs(1), Duration::from_secs(5));
    thread::scope(|scope| {
        let hands = [
            scope.spawn(|| {
                let _one_hand = StopsBoth(&stop);
                nemesis::break_servers(servers, &faults, &span, for_servers, record)
            }),
            scope.spawn(|| {
                let _one_hand = StopsBoth(&stop);
                nemesis::break_clients(clients, &span, for_clients, record)
            }),
        ];
        let mut said = Duration::ZERO;
        while !hands.iter().all(|hand| hand.is_finished()) {
            thread::sleep(Duration::from_millis(50));
            if span.passed() >= said + pause {
                said = span.passed();
                println!("{}", table::progress(said, &record.lock()));
            }
        }
        for hand in hands {
            let joined = hand.join();
            joined
                .map_err(|_| anyhow!("the harness has given up, see above"))?
                .context("the nemesis failed")?;
        }
        Ok(())
    })
}

/// Dropped when one hand is done, by its time, an error or a panic: the other one then begins nothing new.
struct StopsBoth<'a>(&'a AtomicBool);

impl Drop for StopsBoth<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// The locks that are still there when each that was held in the end must have been released, or have expired.
fn left_over(servers: &dyn Servers) -> Result<Vec<String>> {
    let rest = Instant::now();
    loop {
        let locks = servers::locks(servers)?;
        let for_ever = locks.iter().any(|(_, left)| left.is_none_or(|left| left > TTL));
        if locks.is_empty() || for_ever || rest.elapsed() > TTL + SLACK {
            let told = |(key, left): (String, Option<Duration>)| format!("{key}, for {left:?} more");
            return Ok(locks.into_iter().map(told).collect());
        }
        thread::sleep(Duration::from_millis(50));
    }
}
