//! The one place that runs commands: each is printed before it runs, and an error names it.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// Runs commands in the workspace's root.
pub(crate) struct Shell {
    root: PathBuf,
}

impl Shell {
    /// # Errors
    /// When this program does not lie in a workspace.
    pub(crate) fn new() -> Result<Shell> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("xtask has no folder above it")?;
        ensure!(
            root.join("Cargo.toml").is_file(),
            "{} was moved since xtask was built: `touch xtask/src/main.rs` and try again",
            root.display()
        );
        Ok(Shell { root: root.to_owned() })
    }

    /// The workspace's root.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where cargo builds.
    pub(crate) fn target(&self) -> PathBuf {
        // A relative CARGO_TARGET_DIR counts from where cargo runs, and that is the root.
        self.root
            .join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
    }

    /// A cargo command, ready for more arguments.
    pub(crate) fn cargo<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(arguments);
        command
    }

    /// Any command, ready for arguments.
    ///
    /// `cargo run` told this process which package it is; build scripts that look there (ring's
    /// does) would run again for every change between `cargo` and `cargo xtask`.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            let about_this_package = name
                .to_str()
                .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"));
            if about_this_package {
                command.env_remove(name);
            }
        }
        command
    }

    /// Prints and runs a command.
    ///
    /// # Errors
    /// When it cannot be started or fails.
    pub(crate) fn run(&self, command: &mut Command) -> Result<()> {
        let line = announce(command);
        let status = command.status().with_context(|| format!("cannot start `{line}`"))?;
        succeeded(status, &line)
    }

    /// Prints and runs a command whose exit code says more than whether it has failed.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn status(&self, command: &mut Command) -> Result<ExitStatus> {
        let line = announce(command);
        command.status().with_context(|| format!("cannot start `{line}`"))
    }

    /// Prints and runs a command, passes its standard output through, and shows each line to `look`.
    ///
    /// # Errors
    /// When it cannot be started or fails.
    pub(crate) fn run_and_look(&self, command: &mut Command, mut look: impl FnMut(&str)) -> Result<()> {
        let line = announce(command);
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start `{line}`"))?;
        let output = child.stdout.take().context("the output was asked for")?;
        for text in BufReader::new(output).split(b'\n') {
            let text = text.with_context(|| format!("cannot read what `{line}` prints"))?;
            let text = String::from_utf8_lossy(&text);
            println!("{text}");
            look(&text);
        }
        let status = child.wait().with_context(|| format!("`{line}` cannot be waited for"))?;
        succeeded(status, &line)
    }

    /// Prints and runs a command, and returns its standard output.
    ///
    /// # Errors
    /// When it cannot be started, fails, or prints what is not UTF-8.
    pub(crate) fn read(&self, command: &mut Command) -> Result<String> {
        let line = announce(command);
        let output = command
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("cannot start `{line}`"))?;
        succeeded(output.status, &line)?;
        String::from_utf8(output.stdout).with_context(|| format!("`{line}` printed what is not UTF-8"))
    }

    /// Whether a command can be started and succeeds; prints nothing.
    pub(crate) fn succeeds(&self, command: &mut Command) -> bool {
        let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
        quiet.status().is_ok_and(|status| status.success())
    }
}

/// The full path of an installed program.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}

fn announce(command: &Command) -> String {
    let line = shown(command);
    eprintln!("\n$ {line}");
    line
}

/// The command as one would type it: what was set in the environment, the program's name, the arguments.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut words = Vec::new();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            words.push(format!("{}={}", name.to_string_lossy(), quoted(value)));
        }
    }
    words.push(quoted(program.file_name().unwrap_or(program.as_os_str())));
    words.extend(command.get_args().map(quoted));
    words.join(" ")
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    if word.is_empty() || word.contains(char::is_whitespace) {
        format!("'{word}'")
    } else {
        word.into_owned()
    }
}

fn succeeded(status: ExitStatus, line: &str) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    bail!("`{line}` failed: {status}")
}
