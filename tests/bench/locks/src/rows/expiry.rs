//! The holder is gone: from the end of its lease to the next holder.

use anyhow::Result;
use bench_report::{Check, Row};

use crate::bench::{self, Bench, Measured};
use crate::job::{Kind, Task};
use crate::server::Server;

const OURS: &str = "ours";
const VARIANTS: [(&str, Kind); 2] = [(OURS, Kind::Ours), ("rslock, polls each 0 to 10 ms", Kind::RslockTuned)];

pub(crate) fn run(bench: &Bench) -> Result<()> {
    let (keys, times) = (8, bench.size(25, 10));
    let foreign = Task::Expiry { keys, times, ttl: 100 };
    measure(bench, "expiry-foreign", "a client that does nothing more", foreign)?;
    let killed = Task::Killed { keys: 100, ttl: 1000 };
    measure(bench, "expiry-killed", "a process of ours that is killed", killed)
}

fn measure(bench: &Bench, name: &str, holder: &str, task: Task) -> Result<()> {
    if !bench.wants(name) {
        return Ok(());
    }
    let server = [Server::start(false)?];
    let what = format!("expiry of a dead holder's lease to next holder, after the ttl; the holder is {holder}");
    let mut row = Row::new(8, name, &what)
        .target("at most 5 ms p99")
        .peer("their polling interval")
        .figures(&[("p99", "ms"), ("p50", "ms"), ("max", "ms")])
        .samples("ms from the end of the ttl to the body")
        .check(Check::value("p99", OURS, "p99").at_most(5.0));
    bench.rounds(&mut row, bench.size(5, 2), &super::names(&VARIANTS), |variant| {
        let (outcome, _) = bench::once(&server, super::kind(&VARIANTS, variant)?, task.clone(), false)?;
        let samples: Vec<_> = outcome.samples.iter().map(|delay| delay / 1e3).collect();
        let part = |part| bench_report::statistics::percentile(&samples, part).unwrap_or(f64::NAN);
        Ok(Measured {
            figures: vec![("p99", part(0.99)), ("p50", part(0.5)), ("max", part(1.0))],
            samples,
        })
    });
    bench.finish(&row)
}
