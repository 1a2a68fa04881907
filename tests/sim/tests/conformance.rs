//! The simulated server answers as a real one does, and its native scripts are those that the library sends.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use lock_sim::conformance::{self, Simulated, Target};
use lock_sim::server::scripts::TWINS;
use lock_tests::RedisServer;

#[test]
fn every_script_of_the_library_has_a_twin_that_was_reviewed_as_it_is_now() {
    let changed: Vec<_> = TWINS
        .iter()
        .filter(|twin| twin.hash() != twin.reviewed)
        .map(|twin| format!("{}.lua: {}", twin.name, twin.hash()))
        .collect();
    assert!(
        changed.is_empty(),
        "compare each with its native function (tests/sim/src/server/scripts), then write its hash there:\n{}",
        changed.join("\n")
    );
}

#[test]
fn no_script_of_the_library_is_without_a_twin() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../lock-runtime/src/backend/redis");
    let mut found = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some(script) = name.strip_suffix(".lua") {
            found += 1;
            assert!(TWINS.iter().any(|twin| twin.name == script), "{name} has no twin");
        }
    }
    assert_eq!(found, TWINS.len());
}

#[test]
fn the_simulated_server_answers_as_a_real_one() {
    let server = RedisServer::start();
    for case in conformance::all() {
        let simulated = case.run(&mut Simulated::default());
        let run = || {
            server.cli(&["FLUSHALL"]);
            server.cli(&["SCRIPT", "FLUSH"]);
            let (begun, mut target) = (Instant::now(), Real::new(server.port()));
            let answers = case.run(&mut target);
            (answers, begun.elapsed().saturating_sub(target.waited))
        };
        // Some answers have the server's time in them, which a busy machine lets pass between two questions: a counter is
        // 10 ms ahead of it. Only a run that was so slow is done again.
        let mut runs = (0..10).map(|_| run());
        let quick = runs.find(|(answers, took)| *answers == simulated || *took < Duration::from_millis(10));
        let (real, _) = quick.unwrap_or_else(run);
        assert_eq!(simulated, real, "{}: left simulated, right real", case.name);
    }
}

/// A real server over TCP.
struct Real {
    port: u16,
    connections: BTreeMap<usize, TcpStream>,
    /// How long its case was to wait.
    waited: Duration,
}

impl Real {
    fn new(port: u16) -> Self {
        Self {
            port,
            connections: BTreeMap::new(),
            waited: Duration::ZERO,
        }
    }

    fn connection(&mut self, number: usize) -> &mut TcpStream {
        let port = self.port;
        self.connections.entry(number).or_insert_with(|| {
            let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            stream
        })
    }
}

impl Target for Real {
    fn send(&mut self, connection: usize, bytes: &[u8]) {
        self.connection(connection).write_all(bytes).unwrap();
    }

    fn receive(&mut self, connection: usize) -> Vec<u8> {
        let mut bytes = [0; 4096];
        let read = self.connection(connection).read(&mut bytes).unwrap();
        assert!(read > 0, "the server has closed the connection");
        bytes[..read].to_vec()
    }

    fn wait(&mut self, time: Duration) {
        self.waited += time;
        std::thread::sleep(time);
    }
}
