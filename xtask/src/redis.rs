//! The `redis-server` that the tests start: found, or installed where that is allowed.

use anyhow::{Context, Result, bail};

use crate::shell::{Shell, find_program};

/// What to type where this program may not install anything.
const BY_HAND: &str = "the tests need `redis-server` on the PATH: install it \
    (Debian, Ubuntu: `sudo apt-get install redis-server`; Fedora: `sudo dnf install redis`; macOS: `brew install redis`)";

/// Installs Debian's package and starts no service.
const INSTALL: &str = "xtask/src/install-redis.sh";

/// How a `redis-server` comes to be on the PATH.
pub(crate) enum Server {
    /// It is there.
    Found(std::path::PathBuf),
    /// Debian's package, by these words in front of the command.
    Install(&'static [&'static str]),
    /// The user has to install it.
    Missing,
}

/// Looks; changes nothing.
pub(crate) fn find(shell: &Shell) -> Server {
    if let Some(path) = find_program("redis-server") {
        return Server::Found(path);
    }
    if find_program("apt-get").is_none() {
        return Server::Missing;
    }
    let root = shell.succeeds(shell.command("sh").args(["-c", r#"[ "$(id -u)" = 0 ]"#]));
    if root {
        return Server::Install(&[]);
    }
    if shell.succeeds(shell.command("sudo").args(["-n", "true"])) {
        return Server::Install(&["sudo", "-n"]);
    }
    Server::Missing
}

/// Puts a `redis-server` on the PATH.
///
/// # Errors
/// When there is none and none can be installed; the text says what to type.
pub(crate) fn provide(shell: &Shell, server: &Server) -> Result<()> {
    let prefix = match server {
        Server::Found(_) => return Ok(()),
        Server::Install(prefix) => *prefix,
        Server::Missing => bail!(BY_HAND),
    };
    let mut words = prefix.iter().copied().chain(["sh", INSTALL]);
    let mut command = shell.command(words.next().unwrap_or("sh"));
    command.args(words);
    shell.run(&mut command).context(BY_HAND)?;
    if find_program("redis-server").is_none() {
        bail!("Debian's package was installed, but {BY_HAND}");
    }
    Ok(())
}
