//! A redis-server that one test owns and may break.

use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub use crate::config::Config;
use crate::config::Role;
use crate::eventually_blocking;
use crate::process::{Owned, command, find_program};

/// The longest that a server may take to start; far beyond what a loaded machine needs.
const START: Duration = Duration::from_secs(30);
/// The longest that the harness' own client waits for a reply.
const ANSWER: Duration = Duration::from_secs(10);
/// The user of the harness' own client, which every server has. So the test may change the default
/// user, and `CLIENT KILL USER default` hits everybody but the harness.
pub(crate) const HARNESS: &str = "harness";

/// A redis-server in a temporary folder, without persistence, on a Unix socket and on a TCP port of
/// 127.0.0.1. Killed when dropped, or when the test process dies.
#[derive(Debug)]
pub struct RedisServer {
    // Before the folder: the server is gone when its folder is removed.
    process: Owned,
    port: u16,
    /// While the server is down, too: others still look for it there, and sentinels give orders.
    _reserved: Vec<UdpSocket>,
    config: Config,
    folder: TempDir,
}

impl RedisServer {
    /// Starts a server and waits until it answers.
    ///
    /// # Panics
    /// When there is no redis-server or it does not answer in time, with its log.
    #[must_use]
    pub fn start() -> RedisServer {
        RedisServer::start_with(|_| {})
    }

    /// Starts a server with directives of the test's own.
    ///
    /// # Panics
    /// As [`RedisServer::start`].
    #[must_use]
    pub fn start_with(configure: impl FnOnce(&mut Config)) -> RedisServer {
        let mut config = Config::default();
        configure(&mut config);
        let folder = temporary_folder();
        let start = Instant::now();
        loop {
            let (port, reserved) = reserved_port(config.role());
            let (process, ready) = launch(folder.path(), port, &config, &Config::default());
            if ready {
                return RedisServer {
                    process,
                    port,
                    _reserved: reserved,
                    config,
                    folder,
                };
            }
            // Somebody took the port between our look and the server's: try the next one.
            let log = read_log(folder.path());
            let port_was_taken = log.contains("Address already in use");
            assert!(
                port_was_taken && start.elapsed() < START,
                "redis-server did not start; its log:\n{log}"
            );
        }
    }

    /// `redis://127.0.0.1:<port>`
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The URL with `user:password@` and what follows the port, e.g. `("", "/2")`.
    #[must_use]
    pub fn url_with(&self, credentials: &str, rest: &str) -> String {
        format!("redis://{credentials}127.0.0.1:{}{rest}", self.port)
    }

    /// `unix:///…`
    #[must_use]
    pub fn unix_url(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// The Unix socket's path.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        socket(self.folder.path())
    }

    /// The TCP port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// SIGSTOP: the server hangs, its kernel still accepts connections.
    pub fn pause(&self) {
        self.process.pause();
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.process.resume();
    }

    /// SIGKILL; returns when the process is gone.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again (killing it first if it lives): same port, same socket, nothing in it.
    ///
    /// # Panics
    /// When it does not come back, with its log.
    pub fn restart(&mut self) {
        self.restart_with(|_| {});
    }

    /// As [`RedisServer::restart`], with more directives for this life of the server only: the
    /// next restart is without them.
    ///
    /// # Panics
    /// As [`RedisServer::restart`].
    pub fn restart_with(&mut self, configure: impl FnOnce(&mut Config)) {
        let mut for_this_life = Config::default();
        configure(&mut for_this_life);
        self.kill();
        let start = Instant::now();
        loop {
            let (process, ready) = launch(self.folder.path(), self.port, &self.config, &for_this_life);
            if ready {
                self.process = process;
                return;
            }
            assert!(
                start.elapsed() < START,
                "redis-server did not restart; its log:\n{}",
                self.log()
            );
        }
    }

    /// Runs a command as an administrator over the Unix socket and gives the reply as text: a nil is
    /// `(nil)`, an array has one element a line.
    ///
    /// # Panics
    /// When the server answers with an error or not at all, with its log.
    #[allow(clippy::must_use_candidate, reason = "most commands are run for their effect")]
    pub fn cli(&self, command: &[&str]) -> String {
        let mut answer = self.try_cli(command);
        // A sentinel that changes a server's role closes the connections of its clients, ours too.
        let closed = ["reset by peer", "unexpected end of file", "Broken pipe"];
        if answer
            .as_ref()
            .is_err_and(|error| closed.iter().any(|text| error.contains(text)))
        {
            answer = self.try_cli(command);
        }
        match answer {
            Ok(reply) => reply,
            Err(error) => panic!("{command:?}: {error}; the server's log:\n{}", self.log()),
        }
    }

    /// As [`RedisServer::cli`], with the server's error as the error.
    ///
    /// # Errors
    /// What the server said, or that it did not answer.
    pub fn try_cli(&self, command: &[&str]) -> Result<String, String> {
        self.try_session(&[command]).map(|mut replies| replies.remove(0))
    }

    /// As [`RedisServer::try_cli`], for commands that have to come over one connection, one after
    /// the other.
    ///
    /// # Errors
    /// What the server said to the first that it refused, or that it did not answer.
    pub fn try_session(&self, commands: &[&[&str]]) -> Result<Vec<String>, String> {
        run(&self.socket(), commands).map_err(|error| error.to_string())
    }

    /// A user with exactly these rules of an access control list, and this password. The default
    /// user stays as it is.
    ///
    /// # Panics
    /// When the server refuses the rules.
    pub fn user(&self, name: &str, password: &str, rules: &[impl AsRef<str>]) {
        let password = format!(">{password}");
        let mut command = vec!["ACL", "SETUSER", name, "reset", "on", &password];
        command.extend(rules.iter().map(AsRef::as_ref));
        self.cli(&command);
    }

    /// The value of a string key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<String> {
        let value = self.cli(&["GET", key]);
        (value != "(nil)").then_some(value)
    }

    /// Whether the key is there.
    #[must_use]
    pub fn exists(&self, key: &str) -> bool {
        self.cli(&["EXISTS", key]) == "1"
    }

    /// The time to live of a key; `None` when it is not there, or has none.
    #[must_use]
    pub fn ttl(&self, key: &str) -> Option<Duration> {
        let milliseconds: i64 = self.cli(&["PTTL", key]).parse().unwrap();
        u64::try_from(milliseconds).ok().map(Duration::from_millis)
    }

    /// All keys, sorted. Of database 0.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.cli(&["KEYS", "*"]).lines().map(str::to_owned).collect();
        keys.sort();
        keys
    }

    /// The server's log.
    #[must_use]
    pub fn log(&self) -> String {
        read_log(self.folder.path())
    }
}

/// Where redis-server is installed: `$REDIS_SERVER`, or on the `PATH`.
#[must_use]
pub fn installed() -> Option<PathBuf> {
    std::env::var_os("REDIS_SERVER")
        .map(PathBuf::from)
        .or_else(|| find_program("redis-server"))
}

/// A TCP port of 127.0.0.1 that nobody listens on. Outside the range from which the kernel takes
/// the ports of outgoing connections: there, a client that reconnects to a dead server can meet
/// itself.
///
/// # Panics
/// When none is free.
#[must_use]
pub fn unused_port() -> u16 {
    reserved_port(Role::Server).0
}

/// As [`unused_port`], and nobody else who asks gets it while the sockets are kept: the port of the
/// same number for datagrams stands for it, which no server uses. For a node, nobody listens on the
/// port + 10000 either, where it has its bus.
fn reserved_port(role: Role) -> (u16, Vec<UdpSocket>) {
    use std::hash::{BuildHasher as _, RandomState};
    let (among, offsets) = match role {
        Role::Node => (10_000, &[0, 10_000][..]),
        Role::Server | Role::Sentinel => (20_000, &[0][..]),
    };
    let reserve = |port: u16| {
        let address = ("127.0.0.1", port);
        TcpListener::bind(address).and_then(|_| UdpSocket::bind(address)).ok()
    };
    (0..1000_u32)
        .find_map(|attempt| {
            let port = 12_000 + u16::try_from(RandomState::new().hash_one(attempt) % among).unwrap();
            let sockets: Option<Vec<_>> = offsets.iter().map(|offset| reserve(port + offset)).collect();
            Some((port, sockets?))
        })
        .expect("not all ports of 127.0.0.1 are in use")
}

/// Starts the process and waits until it answers; `false`: it ended, or did not answer in time.
fn launch(folder: &Path, port: u16, config: &Config, for_this_life: &Config) -> (Owned, bool) {
    let program = installed().expect(
        "redis-server is not installed: install it (Debian: apt-get install redis-server), or name it in REDIS_SERVER",
    );
    // What is left of an earlier life must not be taken for signs of this one.
    let _ = std::fs::remove_file(socket(folder));
    let _ = std::fs::remove_file(log_file(folder));
    std::fs::write(folder.join("redis.conf"), config.text(folder, port, for_this_life)).unwrap();

    let mut command = command(program);
    command
        .arg(folder.join("redis.conf"))
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if config.role() == Role::Sentinel {
        command.arg("--sentinel");
    }
    let mut process = Owned::spawn(command);
    let start = Instant::now();
    while start.elapsed() < START {
        // NOPERM and the like are answers too, LOADING is none.
        if run(&socket(folder), &[&["PING"]]).is_ok() {
            return (process, true);
        }
        if process.ended().is_some() {
            return (process, false);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    (process, false)
}

/// A folder with a short path: a Unix socket's has at most 108 bytes.
fn temporary_folder() -> TempDir {
    let builder = || {
        let mut builder = tempfile::Builder::new();
        builder.prefix("lock");
        builder
    };
    let folder = builder().tempdir().unwrap();
    if socket(folder.path()).as_os_str().len() < 100 {
        return folder;
    }
    builder().tempdir_in("/tmp").unwrap()
}

pub(crate) fn socket(folder: &Path) -> PathBuf {
    folder.join("redis.sock")
}

pub(crate) fn log_file(folder: &Path) -> PathBuf {
    folder.join("redis.log")
}

fn read_log(folder: &Path) -> String {
    std::fs::read_to_string(log_file(folder)).unwrap_or_else(|error| format!("(no log: {error})"))
}

fn run(socket: &Path, commands: &[&[&str]]) -> redis::RedisResult<Vec<String>> {
    let url = format!("redis+unix://{}?user={HARNESS}&pass={HARNESS}", socket.display());
    let mut connection = redis::Client::open(url)?.get_connection()?;
    connection.set_read_timeout(Some(ANSWER))?;
    connection.set_write_timeout(Some(ANSWER))?;
    let reply = |command: &&[&str]| {
        let mut request = redis::Cmd::new();
        for part in *command {
            request.arg(part);
        }
        request.query(&mut connection).map(text)
    };
    commands.iter().map(reply).collect()
}

fn text(value: redis::Value) -> String {
    match value {
        redis::Value::Nil => "(nil)".into(),
        redis::Value::Int(number) => number.to_string(),
        redis::Value::BulkString(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        redis::Value::SimpleString(text) => text,
        redis::Value::Okay => "OK".into(),
        redis::Value::Array(values) => values.into_iter().map(text).collect::<Vec<_>>().join("\n"),
        other => format!("{other:?}"),
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the log of redis-server on port {}:\n{}", self.port, self.log());
        }
    }
}

/// Waits until nobody holds `key` (its full name in Redis) any more.
///
/// # Panics
/// When it is still there at the deadline.
pub fn until_gone(server: &RedisServer, key: &str, deadline: Duration) {
    eventually_blocking(&format!("{key} is gone"), deadline, || !server.exists(key));
}
