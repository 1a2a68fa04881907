//! Peers in other languages, where their interpreter and packages can be had.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Result, ensure};
use lock_tests::process::find_program;

use crate::bench::Bench;
use crate::job::Outcome;
use crate::server::Server;
use crate::worker::Worker;

const PYTHON: &str = include_str!("../peers/cycle.py");
const NODE: &str = include_str!("../peers/cycle.js");

/// The names of these variants.
pub(crate) const REDIS_PY: &str = "redis-py Lock";
pub(crate) const NODE_REDLOCK: &str = "node redlock";

/// Those that can run here; says which cannot, and why.
pub(crate) fn available(bench: &Bench) -> Vec<&'static str> {
    let mut peers = Vec::new();
    for (name, prepared) in [(REDIS_PY, python(bench.folder())), (NODE_REDLOCK, node(bench.folder()))] {
        match prepared {
            Ok(()) => peers.push(name),
            Err(error) => bench.progress.say(&format!("{name} is left out: {error:#}")),
        }
    }
    peers
}

/// Sequential cycles, as the workers of this program do them.
pub(crate) fn sequential(
    bench: &Bench,
    name: &str,
    server: &Server,
    cycles: u32,
    pinned: bool,
) -> Result<(Outcome, f64)> {
    server.clear();
    let (program, script) = match name {
        REDIS_PY => ("python3", bench.folder().join("python/cycle.py")),
        _ => ("node", bench.folder().join("node/cycle.js")),
    };
    let port = server.0.port();
    let job = format!(r#"{{"port":{port},"cycles":{cycles}}}"#);
    let words: [OsString; 2] = [program.into(), script.into()];
    let before = server.processor();
    let worker = Worker::start_program(&words, &job, pinned, Duration::from_secs(60))?;
    let outcome = worker.run()?;
    Ok((outcome, (server.processor() - before) * 1e9))
}

fn python(folder: &Path) -> Result<()> {
    ensure!(find_program("python3").is_some(), "there is no python3");
    let folder = folder.join("python");
    if !folder.join("redis").is_dir() {
        let target = folder.as_os_str();
        let pip = ["-m", "pip", "install", "--quiet", "--target"].map(OsString::from);
        let packages = ["redis", "hiredis"].map(OsString::from);
        install(
            "python3",
            pip.iter()
                .map(OsString::as_os_str)
                .chain([target])
                .chain(packages.iter().map(OsString::as_os_str)),
        )?;
    }
    Ok(std::fs::write(folder.join("cycle.py"), PYTHON)?)
}

fn node(folder: &Path) -> Result<()> {
    ensure!(find_program("node").is_some(), "there is no node");
    let folder = folder.join("node");
    if !folder.join("node_modules/redlock").is_dir() {
        ensure!(find_program("npm").is_some(), "there is no npm");
        let prefix = folder.as_os_str();
        let npm = ["install", "--silent", "--prefix"].map(OsString::from);
        let packages = ["redlock@5.0.0-beta.2", "ioredis"].map(OsString::from);
        install(
            "npm",
            npm.iter()
                .map(OsString::as_os_str)
                .chain([prefix])
                .chain(packages.iter().map(OsString::as_os_str)),
        )?;
    }
    Ok(std::fs::write(folder.join("cycle.js"), NODE)?)
}

fn install<'a>(program: &str, arguments: impl Iterator<Item = &'a std::ffi::OsStr>) -> Result<()> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output()?;
    ensure!(output.status.success(), "its packages cannot be installed");
    Ok(())
}
