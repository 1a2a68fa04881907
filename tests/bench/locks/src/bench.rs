//! What all rows share: options, rounds, and how a variant is run once.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use bench_report::{Progress, Row, save, statistics, table};

use crate::clock;
use crate::flags::Options;
use crate::job::{Job, Kind, Outcome, Task};
use crate::server::{Server, can_pin};
use crate::worker::Worker;

/// The longest that one process of a round may take.
const LIMIT: Duration = Duration::from_secs(120);

/// One run of the bench.
pub(crate) struct Bench {
    folder: PathBuf,
    only: Option<String>,
    pub(crate) quick: bool,
    pub(crate) progress: Progress,
}

impl Bench {
    pub(crate) fn new(options: &Options) -> Bench {
        Bench {
            folder: options.folder.clone(),
            only: options.only.clone(),
            quick: options.quick,
            progress: Progress::new(),
        }
    }

    /// Whether this row is asked for.
    pub(crate) fn wants(&self, row: &str) -> bool {
        self.only.as_ref().is_none_or(|only| row.starts_with(only.as_str()))
    }

    /// Whether this row is asked for and can be had: a pinned one needs `taskset` and two processors.
    pub(crate) fn wants_pinned(&self, row: &str, pinned: bool) -> bool {
        let wanted = self.wants(row);
        let possible = !pinned || can_pin();
        if wanted && !possible {
            self.progress
                .say(&format!("{row} is left out: it needs `taskset` and two processors"));
        }
        wanted && possible
    }

    /// Where the results are, and what the peers of other languages need.
    pub(crate) fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    /// The first of two numbers; the second where it has to be quick.
    pub(crate) fn size<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// Runs each variant once in each round. One that fails is left out from then on, and the row says so.
    pub(crate) fn rounds(
        &self,
        row: &mut Row,
        rounds: usize,
        variants: &[&str],
        mut run: impl FnMut(&str) -> Result<Measured>,
    ) {
        for round in 1..=rounds {
            // There and back, so that none has always the same neighbour.
            let mut order = variants.to_vec();
            if round % 2 == 0 {
                order.reverse();
            }
            for name in order {
                if row.variant(name).failed.is_some() {
                    continue;
                }
                let outcome = match run(name) {
                    Ok(measured) => {
                        let variant = row.variant(name);
                        variant.round(&measured.figures);
                        variant.sample(&measured.samples);
                        measured.words()
                    }
                    Err(error) => {
                        row.variant(name).fail(format!("{error:#}"));
                        format!("FAILED: {error:#}")
                    }
                };
                self.progress.step(&row.name, (round, rounds), name, &outcome);
            }
        }
    }

    /// Writes the row and prints it.
    pub(crate) fn finish(&self, row: &Row) -> Result<()> {
        println!("\n{}", table(row));
        save(&self.folder, row)
    }
}

/// The figures of one variant in one round.
pub(crate) struct Measured {
    pub(crate) figures: Vec<(&'static str, f64)>,
    pub(crate) samples: Vec<f64>,
}

impl Measured {
    fn words(&self) -> String {
        let shown = self.figures.iter().take(3);
        let words: Vec<_> = shown.map(|(name, value)| format!("{name} {value:.2}")).collect();
        words.join(", ")
    }
}

/// Runs one process on cleared servers; gives the outcome, and the servers' processor time in nanoseconds.
pub(crate) fn once(servers: &[Server], kind: Kind, task: Task, pinned: bool) -> Result<(Outcome, f64)> {
    let mut worker = start(servers, kind, task, pinned)?;
    worker.ready()?;
    finish(servers, worker)
}

/// Starts one process on cleared servers.
pub(crate) fn start(servers: &[Server], kind: Kind, task: Task, pinned: bool) -> Result<Worker> {
    servers.iter().for_each(Server::clear);
    launch(servers, kind, task, pinned)
}

/// Starts one of several processes; the servers stay as they are.
pub(crate) fn start_on(servers: &[Server], kind: Kind, task: Task) -> Result<Worker> {
    launch(servers, kind, task, false)
}

fn launch(servers: &[Server], kind: Kind, task: Task, pinned: bool) -> Result<Worker> {
    let job = Job {
        client: kind,
        servers: servers.iter().map(Server::url).collect(),
        task,
    };
    Worker::start(&job, pinned, LIMIT)
}

/// Lets a process that is ready begin, and waits for its end.
pub(crate) fn finish(servers: &[Server], mut worker: Worker) -> Result<(Outcome, f64)> {
    let used = |servers: &[Server]| servers.iter().map(Server::processor).sum::<f64>();
    let before = used(servers);
    worker.go(clock::now())?;
    let outcome = worker.outcome()?;
    Ok((outcome, (used(servers) - before) * 1e9))
}

/// p50, p99, mean and the processor time of a call.
pub(crate) fn latency(outcome: &Outcome, server: f64) -> Measured {
    let samples = outcome.samples.clone();
    let part = |part| statistics::percentile(&samples, part).unwrap_or(f64::NAN);
    let each = |nanoseconds: f64| nanoseconds / 1e3 / count(outcome);
    Measured {
        figures: vec![
            ("p50", part(0.5)),
            ("p99", part(0.99)),
            ("mean", statistics::mean(&samples).unwrap_or(f64::NAN)),
            ("client CPU", each(float(outcome.processor))),
            ("server CPU", each(server)),
        ],
        samples,
    }
}

/// The calls of an outcome; at least one, so that it can be divided by.
pub(crate) fn count(outcome: &Outcome) -> f64 {
    float(outcome.count.max(1))
}

#[allow(clippy::cast_precision_loss, reason = "nanoseconds of an hour fit")]
pub(crate) fn float(number: u64) -> f64 {
    number as f64
}
