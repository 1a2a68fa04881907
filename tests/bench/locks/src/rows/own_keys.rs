//! Many calls at once, none of which wants another's lock.

use anyhow::Result;
use bench_report::{Check, Row};

use crate::bench::{self, Bench, float};
use crate::job::{Kind, Task};
use crate::server::Server;

const RAW: &str = "raw redis";
const OURS: &str = "ours, annotated";
const VARIANTS: [(&str, Kind); 6] = [
    (RAW, Kind::Raw),
    ("raw redis, our scripts", Kind::Scripts),
    (OURS, Kind::Ours),
    ("ours, acquire and release", Kind::OursByHand),
    ("rslock", Kind::Rslock),
    ("distributed-lock-redis", Kind::DistributedLock),
];

pub(crate) fn run(bench: &Bench) -> Result<()> {
    for (name, pinned) in [("own-keys", false), ("own-keys-pinned", true)] {
        if bench.wants_pinned(name, pinned) {
            measure(bench, name, pinned)?;
        }
    }
    Ok(())
}

fn measure(bench: &Bench, name: &str, pinned: bool) -> Result<()> {
    let server = [Server::start(pinned)?];
    let place = if pinned { "all on one processor" } else { "natural" };
    let what = format!("64 tasks, own keys: throughput against raw; {place}");
    let mut row = Row::new(2, name, &what)
        .target("at least 0.90")
        .peer("rslock 0.65")
        .base(RAW)
        .figures(&[
            ("calls", "/s"),
            ("p50", "µs"),
            ("p99", "µs"),
            ("client CPU", "µs/call"),
            ("server CPU", "µs/call"),
        ])
        .samples("µs for a call")
        .check(Check::ratio("× raw", OURS, RAW, "calls").at_least(0.9));
    let milliseconds = bench.size(1500, 600);
    bench.rounds(&mut row, bench.size(5, 2), &super::names(&VARIANTS), |variant| {
        let task = Task::OwnKeys {
            tasks: 64,
            milliseconds,
        };
        let (outcome, used) = bench::once(&server, super::kind(&VARIANTS, variant)?, task, pinned)?;
        let mut measured = bench::latency(&outcome, used);
        let calls = bench::count(&outcome) / (float(outcome.wall) / 1e9);
        measured.figures.insert(0, ("calls", calls));
        Ok(measured)
    });
    bench.finish(&row)
}
