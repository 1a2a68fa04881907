//! A majority of five servers, and one of them that hangs.

use anyhow::Result;
use bench_report::{Check, Row};

use crate::bench::{self, Bench};
use crate::job::{Kind, Task};
use crate::server::Server;

const NAME: &str = "redlock";
const RAW: &str = "raw redis, all asked, all waited for";
const OURS: &str = "ours, annotated";
const OURS_HUNG: &str = "ours, one server hangs";
const VARIANTS: [(&str, Kind); 6] = [
    (RAW, Kind::Raw),
    (OURS, Kind::Ours),
    (OURS_HUNG, Kind::Ours),
    ("rslock", Kind::Rslock),
    ("raw redis, one server hangs", Kind::Raw),
    ("rslock, one server hangs", Kind::Rslock),
];

pub(crate) fn run(bench: &Bench) -> Result<()> {
    if !bench.wants(NAME) {
        return Ok(());
    }
    let servers = (0..5).map(|_| Server::start(false)).collect::<Result<Vec<_>>>()?;
    let what = "Redlock with 5: p50 against raw asking all and waiting for all; with one server hung";
    let mut row = Row::new(11, NAME, what)
        .target("at most 1.0; at most 1.1 of that")
        .peer("1.06; 500 ms and more")
        .base(RAW)
        .figures(&[("p50", "µs"), ("p99", "µs"), ("mean", "µs"), ("client CPU", "µs/call")])
        .samples("µs for a call")
        .check(Check::ratio("× raw", OURS, RAW, "p50").at_most(1.0))
        .check(Check::ratio("one hung × none", OURS_HUNG, OURS, "p50").at_most(1.1));
    let cycles = bench.size(3000, 1000);
    let mut round = 0;
    bench.rounds(&mut row, bench.size(5, 2), &super::names(&VARIANTS), |variant| {
        let kind = super::kind(&VARIANTS, variant)?;
        let hung = variant.contains("hangs");
        // A client that waits for all waits for its time-out each time.
        let cycles = if hung && kind != Kind::Ours { 4 } else { cycles };
        let mut worker = bench::start(&servers, kind, Task::Sequential { warm: 500, cycles }, false)?;
        worker.ready()?;
        // Each time another one: none is always the fastest.
        let broken = &servers[round % servers.len()].0;
        round += usize::from(variant == RAW);
        if hung {
            broken.pause();
        }
        let outcome = worker.go(crate::clock::now()).and_then(|()| worker.outcome());
        broken.resume();
        let mut measured = bench::latency(&outcome?, 0.0);
        measured.figures.retain(|(name, _)| *name != "server CPU");
        Ok(measured)
    });
    bench.finish(&row)
}
