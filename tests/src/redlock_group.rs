//! Independent servers for a majority of them.

use std::thread;

use crate::server::Config;
use crate::{Proxy, RedisServer};

/// Servers that know nothing of each other, each behind a proxy if the test wants that.
#[derive(Debug)]
pub struct RedlockGroup {
    /// Public, so that a test may break each as it likes.
    pub members: Vec<RedisServer>,
    proxies: Vec<Proxy>,
}

impl RedlockGroup {
    /// Starts so many servers.
    #[must_use]
    pub fn start(count: usize) -> RedlockGroup {
        RedlockGroup::start_with(count, |_| {})
    }

    /// Starts so many servers with directives of the test's own.
    #[must_use]
    pub fn start_with(count: usize, configure: impl Fn(&mut Config) + Sync) -> RedlockGroup {
        RedlockGroup {
            members: start_all(count, |_, config| configure(config)),
            proxies: Vec::new(),
        }
    }

    /// Starts so many servers with a proxy in front of each; the URLs lead to the proxies.
    #[must_use]
    pub fn behind_proxies(count: usize) -> RedlockGroup {
        let mut group = RedlockGroup::start(count);
        group.proxies = group.members.iter().map(Proxy::to).collect();
        group
    }

    /// `redlock://127.0.0.1:<port>,…`
    #[must_use]
    pub fn url(&self) -> String {
        let addresses: Vec<_> = self.urls().iter().map(|url| url.replacen("redis://", "", 1)).collect();
        format!("redlock://{}", addresses.join(","))
    }

    /// `redis://127.0.0.1:<port>` of each.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        if self.proxies.is_empty() {
            return self.members.iter().map(RedisServer::url).collect();
        }
        self.proxies.iter().map(Proxy::url).collect()
    }

    /// The proxy in front of a member.
    ///
    /// # Panics
    /// When the group has none.
    #[must_use]
    pub fn proxy(&self, member: usize) -> &Proxy {
        &self.proxies[member]
    }

    /// The smallest number of members that is more than half.
    #[must_use]
    pub fn majority(&self) -> usize {
        self.members.len() / 2 + 1
    }

    /// The members that have this key, by their numbers. All members must answer.
    #[must_use]
    pub fn with_key(&self, key: &str) -> Vec<usize> {
        let members = self.members.iter().enumerate();
        members
            .filter(|(_, member)| member.exists(key))
            .map(|(number, _)| number)
            .collect()
    }
}

/// Starts servers side by side; each gets its number.
pub(crate) fn start_all(count: usize, configure: impl Fn(usize, &mut Config) + Sync) -> Vec<RedisServer> {
    thread::scope(|scope| {
        let starting: Vec<_> = (0..count)
            .map(|number| {
                let configure = &configure;
                scope.spawn(move || RedisServer::start_with(|config| configure(number, config)))
            })
            .collect();
        starting
            .into_iter()
            .map(|server| server.join().expect("a server started"))
            .collect()
    })
}
