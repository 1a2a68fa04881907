//! From a URL to a backend. The one place that knows all backends.

use std::sync::Arc;
use std::time::Duration;

use ::url::{ParseError, Url};

use crate::backend::Backend;
use crate::backend::memory::MemoryBackend;
use crate::backend::redis::RedisBackend;
use crate::backend::redlock::RedlockBackend;
use crate::network::Network;
use crate::terms::DEFAULT_TTL;
use crate::{LockError, Tls};

const SCHEMES: &str =
    "`memory://`, `redis://`, `rediss://`, `unix://`, `redis+sentinel://`, `redis+cluster://` or `redlock://`";

/// Where the locks are kept, as the user says it.
#[derive(Clone)]
pub(crate) enum Address {
    Url(String),
    /// Independent servers, a URL for each.
    Redlock(Vec<String>),
}

/// What a URL does not say.
#[derive(Clone)]
pub(crate) struct Settings {
    /// What is asked for where a call says nothing.
    pub(crate) default_ttl: Duration,
    pub(crate) tls: Option<Tls>,
    pub(crate) min_replicas: usize,
    /// A connection on each runtime that calls.
    pub(crate) lanes: bool,
    /// `None`: the operating system's.
    pub(crate) network: Option<Arc<dyn Network>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            default_ttl: DEFAULT_TTL,
            tls: None,
            min_replicas: 0,
            // Where a panic ends the process, nothing may be tried that a runtime without input and output panics at.
            lanes: cfg!(panic = "unwind"),
            network: None,
        }
    }
}

/// Reads the address and makes its backend, without connecting.
///
/// # Errors
///
/// [`LockError::InvalidUrl`] with the part that is wrong, or [`LockError::InvalidOption`]. No error holds the URL
/// itself: it may have a password.
pub(crate) fn open(address: &Address, settings: &Settings) -> Result<Arc<dyn Backend>, LockError> {
    match address {
        Address::Url(url) => one(url, settings),
        Address::Redlock(urls) => {
            let urls = urls.iter().map(|url| server(url)).collect::<Result<Vec<_>, _>>()?;
            Ok(Arc::new(RedlockBackend::new(&urls, settings)?))
        }
    }
}

fn one(url: &str, settings: &Settings) -> Result<Arc<dyn Backend>, LockError> {
    let scheme = match url.split_once("://") {
        Some((scheme, _)) => scheme.to_ascii_lowercase(),
        None => return Err(invalid("scheme", format!("there is none; begin with {SCHEMES}"))),
    };
    match scheme.as_str() {
        "memory" => memory(&parse(url)?, settings),
        "redis" | "rediss" | "unix" => Ok(Arc::new(RedisBackend::single(&parse(url)?, settings)?)),
        "redis+sentinel" | "rediss+sentinel" => {
            let (hosts, service) = Hosts::split(url)?.service()?;
            Ok(Arc::new(RedisBackend::sentinel(&hosts.urls()?, &service, settings)?))
        }
        "redis+cluster" | "rediss+cluster" => {
            let hosts = Hosts::split(url)?;
            if !matches!(hosts.path.trim_matches('/'), "" | "0") {
                return Err(invalid("database", "a Redis Cluster has number 0 only; leave it out"));
            }
            Ok(Arc::new(RedisBackend::cluster(&hosts.urls()?, settings)?))
        }
        "redlock" => Ok(Arc::new(RedlockBackend::new(&Hosts::split(url)?.urls()?, settings)?)),
        _ => Err(invalid("scheme", format!("`{scheme}://` is unknown; use {SCHEMES}"))),
    }
}

pub(crate) fn invalid(part: &'static str, reason: impl Into<String>) -> LockError {
    LockError::InvalidUrl {
        part,
        reason: reason.into(),
    }
}

/// A URL with several `host:port`, which no standard knows.
struct Hosts<'a> {
    /// Of the URL for one of them.
    scheme: &'static str,
    /// `user:password@`, or nothing.
    credentials: &'a str,
    hosts: Vec<&'a str>,
    path: &'a str,
    /// With its `?`, or nothing.
    rest: &'a str,
}

impl<'a> Hosts<'a> {
    fn split(url: &'a str) -> Result<Self, LockError> {
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        let scheme = if scheme.to_ascii_lowercase().starts_with("rediss") {
            "rediss"
        } else {
            "redis"
        };
        let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (path, rest) = rest.split_at(rest.find(['?', '#']).unwrap_or(rest.len()));
        let (credentials, hosts) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
        if credentials.trim_end_matches('@').contains('@') {
            return Err(invalid(
                "user and password",
                "they stand once, before the first host, for all of them; in a password write `%40` for `@`",
            ));
        }
        let hosts: Vec<&str> = hosts.split(',').map(str::trim).collect();
        if let Some(place) = hosts.iter().position(|host| host.is_empty()) {
            return Err(invalid(
                "host",
                format!("number {} is empty; write `host:port,host:port,host:port`", place + 1),
            ));
        }
        Ok(Self {
            scheme,
            credentials,
            hosts,
            path,
            rest,
        })
    }

    /// Takes the first part of the path for a service's name.
    fn service(self) -> Result<(Self, String), LockError> {
        let path = self.path.trim_start_matches('/');
        let (service, path) = path.split_at(path.find('/').unwrap_or(path.len()));
        if service.is_empty() {
            return Err(invalid(
                "service",
                "the name of the master is missing; write for example `redis+sentinel://host:26379,host:26379/mymaster`",
            ));
        }
        let service = percent_encoding::percent_decode_str(service)
            .decode_utf8()
            .map_err(|_| invalid("service", "it is no text"))?
            .into_owned();
        Ok((Self { path, ..self }, service))
    }

    /// A URL for each.
    fn urls(&self) -> Result<Vec<Url>, LockError> {
        let Self {
            scheme,
            credentials,
            path,
            rest,
            ..
        } = self;
        self.hosts
            .iter()
            .map(|host| parse(&format!("{scheme}://{credentials}{host}{path}{rest}")))
            .collect()
    }
}

/// The URL of one server.
fn server(url: &str) -> Result<Url, LockError> {
    let url = parse(url)?;
    match url.scheme() {
        "redis" | "rediss" | "unix" => Ok(url),
        scheme => Err(invalid(
            "scheme",
            format!("`{scheme}://` is no single server; each is a `redis://`, `rediss://` or `unix://` URL"),
        )),
    }
}

fn memory(url: &Url, settings: &Settings) -> Result<Arc<dyn Backend>, LockError> {
    if settings.min_replicas > 0 {
        return Err(LockError::InvalidOption {
            key: None,
            option: "min_replicas",
            reason: "`memory://` has no replicas; leave it out".to_owned(),
        });
    }
    if !url.path().trim_matches('/').is_empty() || url.query().is_some() || url.port().is_some() {
        return Err(invalid(
            "path",
            "`memory://` takes nothing but a name; write `memory://` or `memory://name`",
        ));
    }
    Ok(Arc::new(match url.host_str() {
        None | Some("") => MemoryBackend::private(),
        Some(name) => MemoryBackend::named(name),
    }))
}

fn parse(url: &str) -> Result<Url, LockError> {
    Url::parse(url).map_err(|error| match error {
        ParseError::EmptyHost => invalid("host", "it is missing; write for example `redis://127.0.0.1:6379`"),
        ParseError::InvalidPort => invalid("port", "it is no number from 1 to 65535"),
        ParseError::IdnaError
        | ParseError::InvalidIpv4Address
        | ParseError::InvalidIpv6Address
        | ParseError::InvalidDomainCharacter => invalid("host", format!("{error}; write a name or an address")),
        error => invalid(
            "URL",
            format!("{error}; write for example `redis://user:password@host:6379/0`"),
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(url: &str) -> &'static str {
        match open(&Address::Url(url.to_owned()), &Settings::default()) {
            Err(LockError::InvalidUrl { part, .. }) => part,
            Err(other) => panic!("{url}: {other}"),
            Ok(_) => panic!("{url} was taken"),
        }
    }

    #[test]
    fn each_wrong_part_is_named() {
        assert_eq!(part("localhost:6379"), "scheme");
        assert_eq!(part("http://localhost"), "scheme");
        assert_eq!(part("redlock://a:1,,b:2"), "host");
        assert_eq!(part("redlock://a:1,b:x"), "port");
        assert_eq!(part("redlock://u:p@a:1,u:p@b:2"), "user and password");
        assert_eq!(part("redis+sentinel://a:1,b:2"), "service");
        assert_eq!(part("redis+sentinel://a:1,b:2/main/x"), "database");
        assert_eq!(part("redis+sentinel://a:1/main?wait=3"), "query");
        assert_eq!(part("redis+cluster://a:1,b:2/3"), "database");
        assert_eq!(part("redis://localhost:99999"), "port");
        assert_eq!(part("redis://"), "host");
        assert_eq!(part("redis://[::1"), "host");
        assert_eq!(part("redis://localhost/zero"), "database");
        assert_eq!(part("redis://localhost/-1"), "database");
        assert_eq!(part("redis://localhost/?protocol=resp9"), "query");
        assert_eq!(part("redis://localhost/?timeout=3"), "query");
        assert_eq!(part("rediss://localhost/#insecure"), "fragment");
        assert_eq!(part("unix://"), "path");
        assert_eq!(part("memory://name/path"), "path");
    }

    #[test]
    fn no_error_shows_the_password() {
        for url in [
            "redis://u:s3cret@localhost:99999",
            "redis://u:s3cret@localhost/x",
            "what://u:s3cret@localhost",
            // What comes before the `?` is then a port.
            "redis://u:1?s3cret@localhost",
            "redis+cluster://u:1?s3cret@a:1,b:2",
            "redis+sentinel://u:1/main?s3cret=x@a:1,b:2",
            "unix:///path?s3cret@localhost",
        ] {
            let error = open(&Address::Url(url.to_owned()), &Settings::default())
                .err()
                .expect("the URL is wrong");
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
        }
    }
}
