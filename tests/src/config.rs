//! What stands in the configuration file of a server of the harness.

use std::fmt::Write as _;
use std::path::Path;

use crate::server::{HARNESS, log_file, socket};

/// Lines of redis.conf, beyond what every server of the harness has.
#[derive(Debug, Default)]
pub struct Config {
    lines: String,
    tls_only: bool,
    role: Role,
}

/// What the program is started as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Role {
    #[default]
    Server,
    /// A node of a cluster, with a bus at its port + 10000.
    Node,
    Sentinel,
}

impl Config {
    /// Adds a directive, e.g. `("maxmemory", "2mb")`.
    pub fn set(&mut self, name: &str, value: impl std::fmt::Display) -> &mut Config {
        writeln!(self.lines, "{name} {value}").unwrap();
        self
    }

    /// The TCP port speaks TLS, with this certificate and key (PEM files).
    pub fn tls(&mut self, certificate: &Path, key: &Path) -> &mut Config {
        self.tls_only = true;
        self.set("tls-cert-file", certificate.display())
            .set("tls-key-file", key.display())
            .set("tls-auth-clients", "no")
    }

    /// TLS as with [`Config::tls`], for clients only that show a certificate of this authority (a
    /// PEM file).
    pub fn tls_for_known_clients(&mut self, certificate: &Path, key: &Path, authority: &Path) -> &mut Config {
        self.tls(certificate, key)
            .set("tls-ca-cert-file", authority.display())
            .set("tls-auth-clients", "yes")
    }

    /// A node of a cluster.
    pub fn cluster_node(&mut self) -> &mut Config {
        self.role = Role::Node;
        self.set("cluster-enabled", "yes")
            .set("cluster-config-file", "nodes.conf")
    }

    /// A sentinel, which writes what it learns into its own file.
    pub fn sentinel(&mut self) -> &mut Config {
        self.role = Role::Sentinel;
        self
    }

    /// A replica of the server at this port of 127.0.0.1.
    pub fn replica_of(&mut self, port: u16) -> &mut Config {
        // Synchronized at once, and without waiting for more replicas to come.
        self.set("replicaof", format_args!("127.0.0.1 {port}"))
            .set("repl-diskless-sync-delay", 0)
    }

    pub(crate) fn role(&self) -> Role {
        self.role
    }

    /// The whole file, for a server in this folder.
    pub(crate) fn text(&self, folder: &Path, port: u16, for_this_life: &Config) -> String {
        let (plain, tls) = if self.tls_only { (0, port) } else { (port, 0) };
        let tls = if tls == 0 {
            String::new()
        } else {
            format!("tls-port {tls}\n")
        };
        let (socket, log, folder) = (socket(folder), log_file(folder), folder.display());
        format!(
            "bind 127.0.0.1\n\
             protected-mode no\n\
             port {plain}\n\
             {tls}\
             unixsocket {}\n\
             unixsocketperm 700\n\
             dir {folder}\n\
             logfile {}\n\
             daemonize no\n\
             save \"\"\n\
             appendonly no\n\
             enable-debug-command yes\n\
             user {HARNESS} on >{HARNESS} ~* &* +@all\n\
             {}{}",
            socket.display(),
            log.display(),
            self.lines,
            for_this_life.lines,
        )
    }
}
