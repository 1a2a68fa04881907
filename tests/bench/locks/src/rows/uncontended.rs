//! A call whose lock nobody else wants: its time, and what it sends.

use anyhow::Result;
use bench_report::{Check, Row};

use crate::bench::{self, Bench, Measured, float};
use crate::job::{Kind, Task};
use crate::monitor::Monitor;
use crate::peers;
use crate::server::Server;

const OURS: &str = "ours, annotated";
const RAW: &str = "raw redis";
const OWN: [(&str, Kind); 6] = [
    (RAW, Kind::Raw),
    ("raw redis, our scripts", Kind::Scripts),
    (OURS, Kind::Ours),
    ("ours, acquire and release", Kind::OursByHand),
    ("rslock", Kind::Rslock),
    ("distributed-lock-redis", Kind::DistributedLock),
];

pub(crate) fn run(bench: &Bench) -> Result<()> {
    let rows = [("uncontended-pinned", true), ("uncontended-natural", false)];
    if rows.iter().any(|(name, _)| bench.wants(name)) {
        let peers = peers::available(bench);
        for (name, pinned) in rows {
            if bench.wants_pinned(name, pinned) {
                sequential(bench, name, pinned, &peers)?;
            }
        }
    }
    if bench.wants("commands") {
        commands(bench)?;
    }
    Ok(())
}

fn sequential(bench: &Bench, name: &str, pinned: bool, peers: &[&'static str]) -> Result<()> {
    let server = [Server::start(pinned)?];
    let cycles = bench.size(10_000, 3_000);
    let place = if pinned {
        "server and client on one processor"
    } else {
        "natural"
    };
    let what = format!("annotated call, one task, one Redis: p50 against the raw client's cycle; {place}");
    let mut row = Row::new(1, name, &what)
        .peer("rslock 1.03, without renewal, fence or loss; distributed-lock-redis 1.38")
        .base(RAW)
        .figures(&[
            ("p50", "µs"),
            ("p99", "µs"),
            ("mean", "µs"),
            ("client CPU", "µs/call"),
            ("server CPU", "µs/call"),
        ])
        .samples("µs for a call");
    if pinned {
        row = row
            .target("at most 1.15")
            .check(Check::ratio("× raw", OURS, RAW, "p50").at_most(1.15));
    }
    let variants: Vec<_> = OWN.iter().map(|(name, _)| *name).chain(peers.iter().copied()).collect();
    bench.rounds(&mut row, bench.size(7, 3), &variants, |variant| {
        let (outcome, used) = match kind(variant) {
            Some(kind) => bench::once(&server, kind, Task::Sequential { warm: 500, cycles }, pinned)?,
            None => peers::sequential(bench, variant, &server[0], cycles, pinned)?,
        };
        Ok(bench::latency(&outcome, used))
    });
    bench.finish(&row)
}

fn kind(variant: &str) -> Option<Kind> {
    OWN.iter().find(|(name, _)| *name == variant).map(|(_, kind)| *kind)
}

/// Counted, not timed: once is enough.
fn commands(bench: &Bench) -> Result<()> {
    const CYCLES: u32 = 1000;
    let server = [Server::start(false)?];
    let mut row = Row::new(3, "commands", "server commands of one uncontended call")
        .target("2")
        .peer("2")
        .figures(&[("commands", "")])
        .check(Check::value("commands", OURS, "commands").at_most(2.0));
    let variants = OWN.map(|(name, _)| name);
    bench.rounds(&mut row, 1, &variants, |variant| {
        let kind = kind(variant).unwrap_or(Kind::Raw);
        let task = Task::Sequential {
            warm: 100,
            cycles: CYCLES,
        };
        let mut worker = bench::start(&server, kind, task, false)?;
        worker.ready()?;
        let monitor = Monitor::start(&server[0])?;
        bench::finish(&server, worker)?;
        let sent = monitor.count(&server[0])?;
        Ok(Measured {
            figures: vec![("commands", float(sent) / f64::from(CYCLES))],
            samples: Vec::new(),
        })
    });
    bench.finish(&row)
}
