//! From a URL to a backend. The one place that knows all backends.

use std::sync::Arc;

use ::url::{ParseError, Url};

use crate::LockError;
use crate::backend::Backend;
use crate::backend::memory::MemoryBackend;
use crate::backend::redis::RedisBackend;

const SCHEMES: &str = "`memory://`, `redis://`, `rediss://` or `unix://`";

/// Reads `url` and makes its backend, without connecting.
///
/// # Errors
///
/// [`LockError::InvalidUrl`] with the part that is wrong. No error holds the URL itself: it may have a password.
pub(crate) fn open(url: &str) -> Result<Arc<dyn Backend>, LockError> {
    let scheme = match url.split_once("://") {
        Some((scheme, _)) => scheme.to_ascii_lowercase(),
        None => return Err(invalid("scheme", format!("there is none; begin with {SCHEMES}"))),
    };
    match scheme.as_str() {
        "memory" => memory(&parse(url)?),
        "redis" | "rediss" | "unix" => Ok(Arc::new(RedisBackend::new(&parse(url)?)?)),
        "redis+sentinel" | "redis+cluster" | "redlock" => Err(invalid(
            "scheme",
            format!("`{scheme}://` is not supported by this version yet; use {SCHEMES}"),
        )),
        _ => Err(invalid("scheme", format!("`{scheme}://` is unknown; use {SCHEMES}"))),
    }
}

pub(crate) fn invalid(part: &'static str, reason: impl Into<String>) -> LockError {
    LockError::InvalidUrl {
        part,
        reason: reason.into(),
    }
}

fn memory(url: &Url) -> Result<Arc<dyn Backend>, LockError> {
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
        match open(url) {
            Err(LockError::InvalidUrl { part, .. }) => part,
            Err(other) => panic!("{url}: {other}"),
            Ok(_) => panic!("{url} was taken"),
        }
    }

    #[test]
    fn each_wrong_part_is_named() {
        assert_eq!(part("localhost:6379"), "scheme");
        assert_eq!(part("http://localhost"), "scheme");
        assert_eq!(part("redlock://a:1,b:2"), "scheme");
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
        ] {
            let error = open(url).err().expect("the URL is wrong");
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
        }
    }
}
