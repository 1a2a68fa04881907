//! Processes that store calls or run them, to be killed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;

use lock_runtime::Ticket;
use lock_tests::process::{self, Owned};
use lock_tests::{RedisServer, eventually_blocking};

use crate::support::LATE;

/// How soon the calls of a killed child come back: the least that there is.
const LEASE: &str = "500";

/// A `queue-test-child` with pipes.
pub(crate) struct Child {
    process: Owned,
    output: BufReader<std::process::ChildStdout>,
}

impl Child {
    fn start(arguments: &[&str]) -> Child {
        let mut command = process::command(env!("CARGO_BIN_EXE_queue-test-child"));
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Owned::spawn(command);
        let output = BufReader::new(process.child().stdout.take().unwrap());
        Child { process, output }
    }

    /// Stores calls for one order, whose lock must be taken, by that way; the bodies of calls that run write down what
    /// they do on `record`.
    pub(crate) fn store(url: &str, record: &RedisServer, namespace: &str, order: u64, names: &[&str]) -> Child {
        let (record, order) = (record.url(), order.to_string());
        let mut arguments = vec!["store", url, &record, namespace, &order];
        arguments.extend(names);
        Child::start(&arguments)
    }

    /// Runs stored calls.
    pub(crate) fn work(url: &str, record: &RedisServer, namespace: &str) -> Child {
        Child::start(&["work", url, &record.url(), namespace, LEASE, "passes"])
    }

    /// As [`Child::work`]; each body waits in its middle until [`Child::let_go`].
    pub(crate) fn work_that_waits(url: &str, record: &RedisServer, namespace: &str) -> Child {
        Child::start(&["work", url, &record.url(), namespace, LEASE, "waits"])
    }

    /// Lets one body go on.
    pub(crate) fn let_go(&mut self) {
        let input = self.process.child().stdin.as_mut().unwrap();
        input.write_all(b"go\n").unwrap();
    }

    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// SIGSTOP.
    pub(crate) fn pause(&self) {
        self.process.pause();
    }

    /// SIGCONT.
    pub(crate) fn resume(&self) {
        self.process.resume();
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Ends its standard input, and waits until it is gone.
    pub(crate) fn finish(mut self) {
        drop(self.process.child().stdin.take());
        let process = &mut self.process;
        eventually_blocking("the process ends", LATE, || process.ended().is_some());
        let status = process.ended().unwrap();
        assert!(status.success(), "{status}");
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.process.ended().is_some()
    }
}

/// Takes the lock of an order as a client that knows nothing of us.
pub(crate) fn take(server: &RedisServer, namespace: &str, order: u64) {
    server.cli(&[
        "SET",
        &format!("{namespace}order:{order}"),
        "somebody-else",
        "PX",
        "60000",
    ]);
}

/// Gives it back, in silence.
pub(crate) fn give_back(server: &RedisServer, namespace: &str, order: u64) {
    server.cli(&["DEL", &format!("{namespace}order:{order}")]);
}

/// Stores calls whose lock is free then.
pub(crate) fn stored(server: &RedisServer, namespace: &str, order: u64, names: &[&str]) -> Vec<Ticket> {
    take(server, namespace, order);
    let mut child = Child::store(&server.url(), server, namespace, order, names);
    let tickets = names.iter().map(|_| {
        let line = child.line();
        let ticket = line.strip_prefix("stored ").unwrap_or_else(|| panic!("{line}"));
        ticket.parse().unwrap()
    });
    let tickets = tickets.collect();
    child.finish();
    give_back(server, namespace, order);
    tickets
}

/// What the bodies wrote down.
pub(crate) fn record(server: &RedisServer, namespace: &str) -> Vec<String> {
    let lines = server.cli(&["LRANGE", &format!("record:{namespace}"), "0", "-1"]);
    lines.lines().map(str::to_owned).collect()
}

/// How often this line was written down.
pub(crate) fn written(server: &RedisServer, namespace: &str, line: &str) -> usize {
    record(server, namespace)
        .iter()
        .filter(|written| *written == line)
        .count()
}

/// How many calls are stored: waiting, running or dead.
pub(crate) fn stored_calls(server: &RedisServer, namespace: &str) -> usize {
    let payloads = format!("distributed-lock:{{queue:{namespace}}}:payloads");
    server.cli(&["HLEN", &payloads]).parse().unwrap()
}
