//! A redis-server that one test owns.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redis::{Cmd, Connection, FromRedisValue};
use tempfile::TempDir;

const START: Duration = Duration::from_secs(30);

/// Without persistence, on a Unix socket in a temporary folder. Killed when it is dropped.
pub(in crate::backend::redis) struct Server {
    process: Child,
    folder: TempDir,
}

impl Server {
    pub(in crate::backend::redis) fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("lock").tempdir().unwrap();
        let program = std::env::var_os("REDIS_SERVER").unwrap_or_else(|| "redis-server".into());
        let mut command = Command::new(program);
        for setting in [
            "--port 0",
            "--save",
            "--appendonly no",
            "--unixsocket redis.sock",
            "--logfile redis.log",
        ] {
            let (name, value) = setting.split_once(' ').unwrap_or((setting, ""));
            command.args([name, value]);
        }
        command
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = command
            .spawn()
            .expect("redis-server must be installed (Debian: apt-get install redis-server)");
        let mut server = Self { process, folder };
        let start = Instant::now();
        while server.connection().is_err() {
            assert_eq!(server.process.try_wait().unwrap(), None, "redis-server has ended");
            assert!(start.elapsed() < START, "redis-server does not answer");
            std::thread::sleep(Duration::from_millis(2));
        }
        server
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(in crate::backend::redis) fn url(&self) -> String {
        format!("unix://{}", self.path("redis.sock").display())
    }

    fn connection(&self) -> redis::RedisResult<Connection> {
        redis::Client::open(format!("redis+unix://{}", self.path("redis.sock").display()))?.get_connection()
    }

    /// One command, by its words.
    pub(in crate::backend::redis) fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = Cmd::new();
        command.arg(words);
        command.query(&mut self.connection().unwrap()).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.path("redis.log"));
            eprintln!(
                "the log of redis-server:\n{}",
                log.unwrap_or_else(|error| error.to_string())
            );
        }
    }
}
