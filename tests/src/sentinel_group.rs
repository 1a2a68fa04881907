//! A master, its replicas, and the sentinels that watch them.

use std::time::Duration;

use crate::redlock_group::start_all;
use crate::replication::{Replication, info, role, until_in_sync};
use crate::server::Config;
use crate::{Proxy, RedisServer, eventually_blocking};

/// The name under which the sentinels know the master.
pub const SERVICE: &str = "mymaster";
/// The longest that the sentinels may take to agree; far beyond what a loaded machine needs.
const AGREE: Duration = Duration::from_secs(60);

/// A master with replicas, and sentinels that name another master about 1.5 s after that one is gone.
#[derive(Debug)]
pub struct SentinelGroup {
    // Before the servers: nobody fails over to what is being dropped.
    /// The processes that watch.
    pub sentinels: Vec<RedisServer>,
    /// All servers, the first master first; none of them changes its place.
    pub servers: Vec<RedisServer>,
}

/// What a group is made of.
#[derive(Debug, Clone, Copy, Default)]
pub struct SentinelSetup<'a> {
    /// How many replicas; 1 unless set.
    pub replicas: Option<usize>,
    /// How many sentinels; 1 unless set. More than half of them have to agree.
    pub sentinels: Option<usize>,
    /// The password of the servers' default user.
    pub password: Option<&'a str>,
    /// The password of the sentinels' default user.
    pub sentinel_password: Option<&'a str>,
}

impl SentinelGroup {
    /// One master, one replica, one sentinel: the fastest to agree.
    #[must_use]
    pub fn start() -> SentinelGroup {
        SentinelGroup::start_with(SentinelSetup::default())
    }

    /// Starts the servers and the sentinels, and waits until they know of each other.
    #[must_use]
    pub fn start_with(setup: SentinelSetup<'_>) -> SentinelGroup {
        let (replicas, sentinels) = (setup.replicas.unwrap_or(1), setup.sentinels.unwrap_or(1));
        let Replication {
            replicas: followers,
            master,
        } = Replication::start_with(replicas, |config| {
            if let Some(password) = setup.password {
                config.set("requirepass", password).set("masterauth", password);
            }
        });
        let watch = |config: &mut Config| {
            let quorum = sentinels / 2 + 1;
            config
                .sentinel()
                .set(
                    "sentinel monitor",
                    format_args!("{SERVICE} 127.0.0.1 {} {quorum}", master.port()),
                )
                .set("sentinel down-after-milliseconds", format_args!("{SERVICE} 1000"))
                .set("sentinel failover-timeout", format_args!("{SERVICE} 4000"));
            if let Some(password) = setup.password {
                config.set("sentinel auth-pass", format_args!("{SERVICE} {password}"));
            }
            if let Some(password) = setup.sentinel_password {
                config
                    .set("requirepass", password)
                    .set("sentinel sentinel-pass", password);
            }
        };
        let sentinels = start_all(sentinels, |_, config| watch(config));
        let mut servers = vec![master];
        servers.extend(followers);
        let group = SentinelGroup { sentinels, servers };
        group.hurry();
        group.until_acquainted();
        group
    }

    /// `redis+sentinel://127.0.0.1:<port>,…/mymaster`
    #[must_use]
    pub fn url(&self) -> String {
        self.url_with("", &format!("/{SERVICE}"))
    }

    /// The URL with `user:password@` and what follows the last port.
    #[must_use]
    pub fn url_with(&self, credentials: &str, rest: &str) -> String {
        let addresses: Vec<_> = self
            .sentinels
            .iter()
            .map(|sentinel| format!("127.0.0.1:{}", sentinel.port()))
            .collect();
        format!("redis+sentinel://{credentials}{}{rest}", addresses.join(","))
    }

    /// The number of the server that the first sentinel names as the master.
    ///
    /// # Panics
    /// When it names one that is not of this group.
    #[must_use]
    pub fn master(&self) -> usize {
        self.named_by(&self.sentinels[0]).expect("a master of this group")
    }

    /// The server that the first sentinel names as the master.
    #[must_use]
    pub fn master_server(&self) -> &RedisServer {
        &self.servers[self.master()]
    }

    /// From now on this replica gets nothing from its master, and may be promoted without it. Only
    /// as a new master, or restarted, does it copy anybody or is it copied again.
    ///
    /// # Panics
    /// When it does not stop.
    pub fn cut_off(&self, replica: usize) {
        self.servers[replica].cli(&["CONFIG", "SET", "masteruser", "nobody"]);
        self.servers[replica].cli(&["CONFIG", "SET", "masterauth", "nothing"]);
        eventually_blocking("the replica has lost its master", AGREE, || {
            // More than once: it may have come back before it had the wrong password.
            self.master_server().cli(&["CLIENT", "KILL", "TYPE", "replica"]);
            info(&self.servers[replica], "replication", "master_link_status").as_deref() == Some("down")
        });
    }

    /// Kills the master and waits until another server is the master; its number.
    pub fn fail_over(&mut self) -> usize {
        let old = self.master();
        self.servers[old].kill();
        self.until_another_master_than(old)
    }

    /// Waits until all sentinels name the same new master, and it says that it is one; its number.
    ///
    /// # Panics
    /// When they do not.
    #[must_use]
    pub fn until_another_master_than(&self, old: usize) -> usize {
        let mut new = old;
        eventually_blocking("the sentinels name another master", AGREE, || {
            let named: Vec<_> = self.sentinels.iter().map(|sentinel| self.named_by(sentinel)).collect();
            let agreed = named.iter().all(|name| *name == named[0]);
            match named[0] {
                Some(number) if agreed && number != old => new = number,
                _ => return false,
            }
            role(&self.servers[new]) == "master"
        });
        new
    }

    /// Starts a server that was killed as a replica of the master of now, and waits until it is in
    /// sync.
    ///
    /// # Panics
    /// When it does not get there.
    pub fn restart_as_replica(&mut self, number: usize) {
        let master = self.master_server().port();
        self.servers[number].restart_with(|config| {
            config.set("replicaof", format_args!("127.0.0.1 {master}"));
        });
        until_in_sync(&self.servers[number]);
    }

    /// Starts a server that was killed as the master it was: a stale one, which the sentinels leave
    /// as it is for about a minute.
    pub fn restart_as_stale_master(&mut self, number: usize) {
        // They demote it after four of these periods.
        self.debug(&["PUBLISH-PERIOD", "15000"]);
        self.servers[number].restart();
    }

    /// Lets the sentinels make a stale master a replica, and waits until it is one.
    ///
    /// # Panics
    /// When they do not.
    pub fn until_demoted(&self, number: usize) {
        self.hurry();
        eventually_blocking("the stale master is a replica", AGREE, || {
            role(&self.servers[number]) == "slave"
        });
    }

    /// The sentinels look and talk more often than they do by default, so that a failover takes two
    /// seconds rather than ten.
    fn hurry(&self) {
        // A replica whose INFO is older than five periods of PING is not promoted, and INFO is asked
        // for once a second while the master is down.
        self.debug(&["INFO-PERIOD", "200", "PUBLISH-PERIOD", "200", "PING-PERIOD", "500"]);
        self.debug(&["ASK-PERIOD", "100", "TILT-TRIGGER", "20000", "ELECTION-TIMEOUT", "2000"]);
    }

    fn debug(&self, settings: &[&str]) {
        for sentinel in &self.sentinels {
            let _only_slower_before_7_0 = sentinel.try_cli(&[&["SENTINEL", "DEBUG"], settings].concat());
        }
    }

    /// Waits until every sentinel knows all replicas and the other sentinels.
    fn until_acquainted(&self) {
        let replicas = (self.servers.len() - 1).to_string();
        let others = (self.sentinels.len() - 1).to_string();
        for sentinel in &self.sentinels {
            eventually_blocking("a sentinel knows all", AGREE, || {
                let known = sentinel.cli(&["SENTINEL", "MASTER", SERVICE]);
                let field = |name: &str| known.lines().skip_while(|line| *line != name).nth(1);
                field("num-slaves") == Some(&replicas)
                    && field("num-other-sentinels") == Some(&others)
                    && field("flags") == Some("master")
            });
        }
    }

    fn named_by(&self, sentinel: &RedisServer) -> Option<usize> {
        let address = sentinel
            .try_cli(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE])
            .ok()?;
        let port: u16 = address.lines().nth(1)?.parse().ok()?;
        self.servers.iter().position(|server| server.port() == port)
    }
}

/// A sentinel that names this proxy as the master, for a link that a test may break. It can neither
/// see the server's replicas nor fail over.
#[must_use]
pub fn sentinel_naming(proxy: &Proxy) -> RedisServer {
    RedisServer::start_with(|config| {
        config.sentinel().set(
            "sentinel monitor",
            format_args!("{SERVICE} 127.0.0.1 {} 1", proxy.port()),
        );
    })
}
