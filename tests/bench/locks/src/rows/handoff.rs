//! From the release to the next body, in another process.

use anyhow::Result;
use bench_report::{Check, Row};

use crate::bench::{self, Bench};
use crate::job::{Kind, Task};
use crate::server::Server;

const GRANT: &str = "prototype: queue and direct grant";
const OURS: &str = "ours";
const VARIANTS: [(&str, Kind); 3] = [
    (GRANT, Kind::Grant),
    (OURS, Kind::Ours),
    ("rslock, polls each 0 to 10 ms", Kind::RslockTuned),
];

pub(crate) fn run(bench: &Bench) -> Result<()> {
    for (name, pinned, hot) in [
        ("handoff-pinned-hot", true, true),
        ("handoff-pinned-idle", true, false),
        ("handoff-natural-hot", false, true),
        ("handoff-natural-idle", false, false),
    ] {
        if bench.wants_pinned(name, pinned) {
            measure(bench, name, pinned, hot)?;
        }
    }
    Ok(())
}

fn measure(bench: &Bench, name: &str, pinned: bool, hot: bool) -> Result<()> {
    let server = [Server::start(pinned)?];
    let place = if pinned { "all on one processor" } else { "natural" };
    let how = if hot {
        "the holder keeps its processor busy for 0.3 to 0.8 ms"
    } else {
        "the holder sleeps for 3 to 9 ms"
    };
    let what =
        format!("release to next holder in another process, p50, against the direct-grant prototype; {place}, {how}");
    let mut row = Row::new(7, name, &what)
        .peer("polling libraries 13 to 500 times")
        .base(GRANT)
        .figures(&[("p50", "µs"), ("p99", "µs"), ("mean", "µs")])
        .samples("µs from the release to the body");
    if pinned {
        row = row
            .target("at most 1.3")
            .check(Check::ratio("× prototype", OURS, GRANT, "p50").at_most(1.3));
    }
    let times = match hot {
        true => bench.size(1000, 300),
        false => bench.size(200, 60),
    };
    bench.rounds(&mut row, bench.size(5, 2), &super::names(&VARIANTS), |variant| {
        let task = Task::HandOff { times, hot };
        let (outcome, used) = bench::once(&server, super::kind(&VARIANTS, variant)?, task, pinned)?;
        Ok(bench::latency(&outcome, used))
    });
    bench.finish(&row)
}
