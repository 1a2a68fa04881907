//! Runs the examples as a user does: in process, and on a server.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

use std::process::{Command, Output};

use lock_tests::RedisServer;

const QUICKSTART: &str = env!("CARGO_BIN_EXE_quickstart");
const NIGHTLY: &str = env!("CARGO_BIN_EXE_nightly");
const QUEUE_ORDERS: &str = env!("CARGO_BIN_EXE_queue_orders");

/// Runs a program to its end and returns what it printed; fails with that if the program failed.
fn output_of(program: &str, lock_url: Option<&str>) -> String {
    let mut command = Command::new(program);
    command.env_remove("LOCK_URL");
    if let Some(url) = lock_url {
        command.env("LOCK_URL", url);
    }
    let Output { status, stdout, stderr } = command.output().unwrap();
    let printed = String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap();
    assert!(status.success(), "{program} ended with {status}:\n{printed}");
    printed
}

fn count(text: &str, part: &str) -> usize {
    text.matches(part).count()
}

/// The program itself checks what the locks do; this is about what the reader sees.
fn assert_quickstart_tells_its_story(printed: &str) {
    for part in [
        "1. on_conflict",
        "2. on_conflict",
        "3. on_conflict",
        "4. A lease is lost",
        "5. A holder sleeps",
    ] {
        assert_eq!(count(printed, part), 1, "{part}\n{printed}");
    }
    assert_eq!(count(printed, "others that pack it now: 0"), 1 + 3 + 1, "{printed}");
    assert_eq!(count(printed, "others that pack it now"), 1 + 3 + 1, "{printed}");
    assert_eq!(count(printed, "gets an error: lock `order:42` is held"), 2, "{printed}");
    assert_eq!(count(printed, "returned None"), 2, "{printed}");
    assert_eq!(count(printed, "puts the goods of order 43 back"), 1, "{printed}");
    assert_eq!(count(printed, "has lost its lease, writes with fence"), 1, "{printed}");
    assert_eq!(count(printed, ": refused"), 1, "{printed}");
    assert!(printed.trim_end().ends_with("All as it should be."), "{printed}");
}

#[test]
fn quickstart_runs_without_a_server() {
    assert_quickstart_tells_its_story(&output_of(QUICKSTART, None));
}

#[test]
fn quickstart_runs_on_redis() {
    let server = RedisServer::start();
    assert_quickstart_tells_its_story(&output_of(QUICKSTART, Some(&server.url())));
}

#[test]
fn nightly_runs_its_job_once_without_a_server() {
    let printed = output_of(NIGHTLY, None);
    assert_eq!(count(&printed, "writes the report"), 1, "{printed}");
    assert_eq!(count(&printed, "skips: somebody else did it"), 2, "{printed}");
}

#[test]
fn nightly_runs_its_job_once_on_redis() {
    let server = RedisServer::start();
    let printed = output_of(NIGHTLY, Some(&server.url()));
    assert_eq!(count(&printed, "writes the report"), 1, "{printed}");
    assert_eq!(count(&printed, "skips: somebody else did it"), 2, "{printed}");
}

/// The program itself checks how each call ended; this is about what the reader sees.
fn assert_queue_orders_tells_its_story(printed: &str) {
    assert_eq!(count(printed, "answers 202"), 4, "{printed}");
    assert_eq!(count(printed, "answers 200: pack"), 1, "{printed}");
    // The one in which the worker was killed.
    assert_eq!(count(printed, "begins: wrap in red"), 2, "{printed}");
    assert_eq!(count(printed, "is done with it: wrap in red"), 1, "{printed}");
    assert_eq!(
        count(printed, "  is a dead letter   send to 1 Nowhere Street"),
        1,
        "{printed}"
    );
    let begun: Vec<&str> = printed
        .lines()
        .filter_map(|line| line.split_once("begins: "))
        .map(|(_, what)| what)
        .collect();
    assert_eq!(
        begun,
        [
            "pack",
            "note \"leave it at the door\"",
            "wrap in red",
            "wrap in red",
            "send to 1 Nowhere Street",
            "note \"ring twice\""
        ]
    );
    assert!(printed.trim_end().ends_with("All as it should be."), "{printed}");
}

#[test]
fn queue_orders_runs_without_a_server() {
    assert_queue_orders_tells_its_story(&output_of(QUEUE_ORDERS, None));
}

#[test]
fn queue_orders_runs_on_redis_and_its_worker_is_a_process_that_is_killed() {
    let server = RedisServer::start();
    assert_queue_orders_tells_its_story(&output_of(QUEUE_ORDERS, Some(&server.url())));
}

#[test]
fn an_example_whose_server_is_down_says_so_and_fails() {
    let mut server = RedisServer::start();
    let url = server.url();
    server.kill();
    let output = Command::new(QUICKSTART).env("LOCK_URL", url).output().unwrap();
    assert!(!output.status.success());
    let printed = String::from_utf8(output.stderr).unwrap();
    assert!(printed.contains("This went wrong"), "{printed}");
}
