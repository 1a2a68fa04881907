//! One key that everybody wants: tasks of one process, and of four.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result};
use bench_report::{Check, Row, statistics};

use crate::bench::{self, Bench, Measured, float};
use crate::clock::{self, micros};
use crate::job::{Kind, Outcome, Task};
use crate::monitor::Monitor;
use crate::server::Server;
use crate::worker::Worker;

const RAW: &str = "raw redis, polls each 10 ms";
const RSLOCK: &str = "rslock, polls each 0 to 10 ms";
const OURS: &str = "ours";
const WITHOUT: &str = "ours, without hand-over";
const VARIANTS: [(&str, Kind); 5] = [
    (RAW, Kind::Raw),
    (RSLOCK, Kind::RslockTuned),
    ("prototype: queue and direct grant", Kind::Grant),
    (OURS, Kind::Ours),
    (WITHOUT, Kind::OursWithoutHandOver),
];
/// Time for all processes to hear when to begin.
const AHEAD: Duration = Duration::from_millis(30);

/// Who wants the key, how often, and for how long.
#[derive(Clone, Copy)]
struct Load {
    processes: u32,
    /// In each process.
    tasks: u32,
    each: u32,
    body_microseconds: u64,
}

pub(crate) fn run(bench: &Bench) -> Result<()> {
    let one = |each, body_microseconds| Load {
        processes: 1,
        tasks: 64,
        each,
        body_microseconds,
    };
    let four = |each, body_microseconds| Load {
        processes: 4,
        tasks: 16,
        each,
        body_microseconds,
    };
    let empty = Row::new(
        4,
        "one-key-empty",
        "64 tasks, one key, one process, empty body: throughput against raw polling at 10 ms",
    )
    .target("at least 100 with hand-over, 12 without")
    .peer("rslock at its best setting 9")
    .check(Check::ratio("with hand-over × raw", OURS, RAW, "acquired").at_least(100.0))
    .check(Check::ratio("without × raw", WITHOUT, RAW, "acquired").at_least(12.0));
    measure(bench, empty, bench.size(3, 1), one(31, 0))?;

    let body = Row::new(
        5,
        "one-key-1ms",
        "64 tasks, one key, one process, body of 1 ms: lock in use; p99 wait against tasks × body",
    )
    .target("at least 97 %; at most 1.05")
    .peer("rslock 72 %; 7.7")
    .check(Check::value("in use", OURS, "in use").at_least(97.0))
    .check(Check::value("p99 / fair", OURS, "p99 / fair").at_most(1.05));
    measure(bench, body, bench.size(3, 1), one(8, 1000))?;

    let empty = Row::new(6, "processes-empty", "4 processes of 16 tasks, one key, empty body");
    measure(bench, empty, bench.size(3, 1), four(31, 0))?;

    let body = Row::new(
        6,
        "processes-1ms",
        "4 processes of 16 tasks, body of 1 ms: lock in use; p99 wait against the fair ideal; commands for each hold; \
         spread between processes",
    )
    .target("96 %; 1.1; 3.2")
    .peer("72–96 %; 5–8; 4–40")
    .check(Check::value("in use", OURS, "in use").at_least(96.0))
    .check(Check::value("p99 / fair", OURS, "p99 / fair").at_most(1.1))
    .check(Check::value("commands", OURS, "commands").at_most(3.2));
    measure(bench, body, bench.size(3, 1), four(8, 1000))?;

    // In strict order, too, the process whose turn is the last is done three turns after the first: of 8 turns each that is
    // a tenth of the time.
    let longer = Row::new(
        6,
        "processes-1ms-longer",
        "the same with 32 calls for each task: spread between processes",
    )
    .target("3 %")
    .peer("30 %")
    .check(Check::value("spread", OURS, "spread").at_most(3.0));
    measure(bench, longer, bench.size(3, 1), four(32, 1000))
}

fn measure(bench: &Bench, row: Row, rounds: usize, load: Load) -> Result<()> {
    if !bench.wants(&row.name) {
        return Ok(());
    }
    let mut row = row
        .base(RAW)
        .figures(&[
            ("acquired", "/s"),
            ("wait p50", "ms"),
            ("wait p99", "ms"),
            ("wait max", "ms"),
            ("p99 / fair", ""),
            ("in use", "%"),
            ("commands", "/hold"),
            ("spread", "%"),
            ("client CPU", "µs/hold"),
            ("server CPU", "µs/hold"),
            ("overlaps", ""),
        ])
        .samples("ms from the call to the body")
        .check(Check::worst("overlaps", OURS, "overlaps").at_most(0.0))
        .note(
            "Fair is the number of tasks times the mean length of a body. The commands were counted in a round of their \
             own, because counting makes the server slower.",
        );
    let server = [Server::start(false)?];
    let mut commands = HashMap::new();
    bench.rounds(&mut row, rounds, &super::names(&VARIANTS), |variant| {
        let kind = super::kind(&VARIANTS, variant)?;
        let commands = match commands.get(variant) {
            Some(commands) => *commands,
            None => {
                let counted = count(&server, kind, load)?;
                commands.insert(variant.to_owned(), counted);
                counted
            }
        };
        let workers = prepared(&server, kind, load)?;
        let before = server[0].processor();
        let outcomes = together(workers)?;
        let used = (server[0].processor() - before) * 1e9;
        figures(&outcomes, used, commands, load)
    });
    bench.finish(&row)
}

/// What clients send for each hold.
fn count(server: &[Server; 1], kind: Kind, load: Load) -> Result<f64> {
    let workers = prepared(server, kind, load)?;
    let monitor = Monitor::start(&server[0])?;
    let outcomes = together(workers)?;
    let holds: f64 = outcomes.iter().map(bench::count).sum();
    Ok(float(monitor.count(&server[0])?) / holds)
}

/// All processes, connected and warm, and the server empty.
fn prepared(server: &[Server; 1], kind: Kind, load: Load) -> Result<Vec<Worker>> {
    let task = Task::OneKey {
        tasks: load.tasks,
        each: load.each,
        body_microseconds: load.body_microseconds,
    };
    let start = |_| bench::start_on(server, kind, task.clone());
    let mut workers = (0..load.processes).map(start).collect::<Result<Vec<_>>>()?;
    workers.iter_mut().try_for_each(Worker::ready)?;
    server[0].clear();
    Ok(workers)
}

/// Lets all processes begin at the same time, and waits for their ends.
fn together(mut workers: Vec<Worker>) -> Result<Vec<Outcome>> {
    let begin = clock::now() + u64::try_from(AHEAD.as_nanos())?;
    workers.iter_mut().try_for_each(|worker| worker.go(begin))?;
    workers.into_iter().map(Worker::outcome).collect()
}

fn figures(outcomes: &[Outcome], used: f64, commands: f64, load: Load) -> Result<Measured> {
    let waits: Vec<_> = outcomes
        .iter()
        .flat_map(|outcome| &outcome.samples)
        .map(|wait| wait / 1e3)
        .collect();
    let mut bodies: Vec<_> = outcomes.iter().flat_map(|outcome| outcome.bodies.clone()).collect();
    bodies.sort_unstable();
    let first = bodies.first().context("somebody held it")?.0;
    let last = bodies.iter().map(|body| body.1).max().context("somebody held it")?;
    let wall = micros(first, last);
    let inside: f64 = bodies.iter().map(|(entered, left)| micros(*entered, *left)).sum();
    let holds = float(bodies.len() as u64);
    let fair = f64::from(load.processes * load.tasks) * inside / holds / 1e3;
    // Between processes; those within one are counted there.
    let overlaps = overlaps(&bodies);
    let within: u64 = outcomes.iter().map(|outcome| outcome.violations).sum();
    let processor: u64 = outcomes.iter().map(|outcome| outcome.processor).sum();
    let part = |part| statistics::percentile(&waits, part).unwrap_or(f64::NAN);
    let mut figures = vec![
        ("acquired", holds / (wall / 1e6)),
        ("wait p50", part(0.5)),
        ("wait p99", part(0.99)),
        ("wait max", part(1.0)),
        ("in use", 100.0 * inside / wall),
        ("commands", commands),
        ("client CPU", float(processor) / 1e3 / holds),
        ("server CPU", used / 1e3 / holds),
        ("overlaps", float(overlaps.max(within))),
    ];
    if load.body_microseconds > 0 {
        figures.push(("p99 / fair", part(0.99) / fair));
    }
    if load.processes > 1 {
        figures.push(("spread", spread(outcomes, first)));
    }
    Ok(Measured {
        figures,
        samples: waits,
    })
}

/// How many bodies, in the order of their beginnings, began before an earlier one had ended.
fn overlaps(bodies: &[(u64, u64)]) -> u64 {
    let mut free_from = 0;
    let mut count = 0;
    for (entered, left) in bodies {
        count += u64::from(*entered < free_from);
        free_from = free_from.max(*left);
    }
    count
}

/// How far apart the processes were done, as a part of the time that they took, in percent.
fn spread(outcomes: &[Outcome], first: u64) -> f64 {
    let done = |outcome: &Outcome| {
        outcome
            .bodies
            .iter()
            .map(|body| micros(first, body.1))
            .fold(0.0, f64::max)
    };
    let times: Vec<_> = outcomes.iter().map(done).collect();
    let longest = times.iter().copied().fold(0.0, f64::max);
    let shortest = times.iter().copied().fold(f64::INFINITY, f64::min);
    100.0 * (longest - shortest) / statistics::mean(&times).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    //! Figures of a few calls, by hand.

    use super::{Load, figures, overlaps, spread};
    use crate::job::Outcome;

    #[test]
    fn a_body_within_another_is_an_overlap_for_each_of_those_that_it_meets() {
        assert_eq!(overlaps(&[(0, 10), (10, 20), (20, 30)]), 0);
        assert_eq!(overlaps(&[(0, 10), (2, 3), (4, 5), (10, 12)]), 2);
    }

    #[test]
    fn use_and_fairness_follow_from_the_bodies() {
        let process = |bodies: &[(u64, u64)]| Outcome {
            samples: vec![4000.0, 2000.0],
            bodies: bodies
                .iter()
                .map(|(from, to)| (from * 1_000_000, to * 1_000_000))
                .collect(),
            ..Outcome::default()
        };
        // Of 10 ms, 8 with a body of 2 ms each.
        let outcomes = [process(&[(0, 2), (4, 6)]), process(&[(2, 4), (8, 10)])];
        let load = Load {
            processes: 2,
            tasks: 1,
            each: 2,
            body_microseconds: 2000,
        };
        let measured = figures(&outcomes, 0.0, 2.0, load).unwrap();
        let figure = |name| measured.figures.iter().find(|(figure, _)| *figure == name).unwrap().1;
        assert_eq!(figure("in use"), 80.0);
        assert_eq!(figure("acquired"), 400.0);
        assert_eq!(figure("p99 / fair"), 1.0);
        assert_eq!(figure("overlaps"), 0.0);
        // Done after 6 and 10 ms.
        assert_eq!(spread(&outcomes, 0), 50.0);
    }
}
