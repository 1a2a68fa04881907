//! Where it was measured.

use std::fs;
use std::process::Command;

/// A line for each: processor, cores, memory, kernel, compiler, server.
#[must_use]
pub fn machine() -> String {
    let processor = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = field("/proc/meminfo", "MemTotal").unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let server = std::env::var_os("REDIS_SERVER").unwrap_or_else(|| "redis-server".into());
    let lines = [
        format!("- {processor}, {cores} cores, {memory}, Linux {}", kernel.trim()),
        format!("- {}", version(Command::new("rustc").arg("--version"))),
        format!("- {}", version(Command::new(server).arg("--version"))),
    ];
    lines.join("\n") + "\n"
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn version(command: &mut Command) -> String {
    let output = command.output().map(|output| output.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&output);
    match text.lines().next() {
        Some(line) => line.to_owned(),
        None => format!("no {}", command.get_program().to_string_lossy()),
    }
}
