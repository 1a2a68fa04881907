//! The Redis servers of a row, and what they say about themselves.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use lock_tests::RedisServer;
use lock_tests::process::find_program;

/// The processor that everything of a pinned row runs on.
pub(crate) const PINNED_TO: &str = "1";

/// Whether something can be kept on one processor of several here.
pub(crate) fn can_pin() -> bool {
    let several = std::thread::available_parallelism().is_ok_and(|count| count.get() > 1);
    several && find_program("taskset").is_some()
}

/// One server, empty.
pub(crate) struct Server(pub(crate) RedisServer);

impl Server {
    pub(crate) fn start(pinned: bool) -> Result<Server> {
        let server = Server(RedisServer::start());
        if pinned {
            let id = server
                .info("server")
                .get("process_id")
                .cloned()
                .context("the server's id")?;
            let moved = Command::new("taskset")
                .args(["-a", "-p", "-c", PINNED_TO, &id])
                .output()?;
            ensure!(
                moved.status.success(),
                "taskset: {}",
                String::from_utf8_lossy(&moved.stderr)
            );
        }
        Ok(server)
    }

    pub(crate) fn url(&self) -> String {
        self.0.url()
    }

    /// Empty, with all counters at zero.
    pub(crate) fn clear(&self) {
        self.0.cli(&["FLUSHALL"]);
        self.reset_counters();
    }

    pub(crate) fn reset_counters(&self) {
        self.0.cli(&["CONFIG", "RESETSTAT"]);
    }

    /// Seconds of processor time since it started.
    pub(crate) fn processor(&self) -> f64 {
        let info = self.info("cpu");
        let number = |name: &str| info.get(name).and_then(|text| text.parse().ok()).unwrap_or(0.0);
        number("used_cpu_user") + number("used_cpu_sys")
    }

    /// How often a command ran, in scripts too.
    pub(crate) fn calls(&self, command: &str) -> u64 {
        let info = self.info("commandstats");
        let stats = info.get(&format!("cmdstat_{command}"));
        let calls = stats.and_then(|stats| stats.strip_prefix("calls=")?.split(',').next()?.parse().ok());
        calls.unwrap_or(0)
    }

    fn info(&self, section: &str) -> BTreeMap<String, String> {
        let text = self.0.cli(&["INFO", section]);
        let pairs = text.lines().filter_map(|line| line.trim().split_once(':'));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}
