//! `cargo xtask test`: every test of the workspace, once.

use std::time::Instant;

use anyhow::Result;

use crate::redis::{self, Server};
use crate::shell::Shell;
use crate::summary::Summary;

/// Runs all tests.
///
/// # Errors
/// When there is no `redis-server`, or anything fails.
pub(crate) fn run(shell: &Shell) -> Result<()> {
    let server = redis::find(shell);
    println!("cargo xtask test: every test of the workspace, doctests and examples included, without retries");
    println!("  1. {}", first_step(&server));
    println!("  2. cargo test --workspace --no-fail-fast");
    redis::provide(shell, &server)?;

    let start = Instant::now();
    let mut summary = Summary::default();
    let arguments = ["test", "--workspace", "--no-fail-fast"];
    let mut command = shell.cargo(arguments);
    if std::env::var_os("RUST_TEST_THREADS").is_none() {
        // The tests mostly wait, for a ttl or for a server.
        command.env("RUST_TEST_THREADS", "4");
    }
    let ended = shell.run_and_look(&mut command, |line| summary.look(line));
    println!("\n{summary}, after {:.0?}", start.elapsed());
    ended
}

fn first_step(server: &Server) -> String {
    match server {
        Server::Found(path) => {
            format!(
                "the tests start {} on 127.0.0.1, and end what they started",
                path.display()
            )
        }
        Server::Install(prefix) => {
            let by = if prefix.is_empty() { "as root" } else { "by sudo" };
            format!("no redis-server on the PATH: install Debian's package {by}; its service is not started")
        }
        Server::Missing => "no redis-server on the PATH, and no right to install one".to_owned(),
    }
}
