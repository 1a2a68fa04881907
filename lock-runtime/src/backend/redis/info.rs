//! From a URL to the client library's settings, and from its first failure back to the part of the URL.

use std::time::Duration;

use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{Client, ConnectionAddr, IntoConnectionInfo};
use url::Url;

use super::super::{Failure, FailureKind};
use crate::LockError;
use crate::url::invalid;

/// Checks what the library would take silently or explain badly, then makes a client.
///
/// # Errors
///
/// [`LockError::InvalidUrl`] with the part that is wrong.
pub(super) fn client(url: &Url) -> Result<Client, LockError> {
    check(url)?;
    if url.scheme() == "rediss" {
        tls_provider()?;
    }
    let info = url.clone().into_connection_info().map_err(|error| {
        // The library's text names the setting and holds no secret; the URL stays out of it.
        invalid(
            "URL",
            error.category().to_owned() + error.detail().map_or("", |_| ": see the parts of the URL"),
        )
    })?;
    let redis = info.redis_settings().clone().set_skip_set_lib_name();
    let info = info.set_tcp_settings(tcp_settings()).set_redis_settings(redis);
    Client::open(info).map_err(|error| invalid("URL", error.category()))
}

fn check(url: &Url) -> Result<(), LockError> {
    let unix = url.scheme() == "unix";
    if unix {
        if url.path().trim_matches('/').is_empty() {
            return Err(invalid("path", "it is missing; write `unix:///path/of/the.sock`"));
        }
        if url.host_str().is_some_and(|host| !host.is_empty()) {
            return Err(invalid(
                "path",
                "it must be absolute; write three slashes, `unix:///path/of/the.sock`",
            ));
        }
    } else {
        if url.host_str().is_none_or(str::is_empty) {
            return Err(invalid(
                "host",
                "it is missing; write for example `redis://127.0.0.1:6379`",
            ));
        }
        database(url.path().trim_matches('/'))?;
    }
    for (name, value) in url.query_pairs() {
        match &*name {
            "protocol" if matches!(&*value, "2" | "3" | "resp2" | "resp3") => {}
            "protocol" => return Err(invalid("query", "`protocol` is `resp2` or `resp3`")),
            "db" if unix => database(&value)?,
            "user" | "pass" if unix => {}
            name if unix => {
                return Err(invalid(
                    "query",
                    format!("`{name}` is unknown; there are `db`, `user`, `pass` and `protocol`"),
                ));
            }
            name => return Err(invalid("query", format!("`{name}` is unknown; there is `protocol`"))),
        }
    }
    if url.fragment().is_some() {
        return Err(invalid(
            "fragment",
            "`#…` is not supported; a server's certificate is always checked",
        ));
    }
    Ok(())
}

fn database(number: &str) -> Result<(), LockError> {
    if number.is_empty() || number.parse::<u32>().is_ok() {
        Ok(())
    } else {
        Err(invalid(
            "database",
            "it is no number; write for example `redis://host:6379/0`",
        ))
    }
}

/// Without these, a half-open connection goes unnoticed for minutes (redis 1.8 sets none of them).
fn tcp_settings() -> TcpSettings {
    let settings = TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(TcpKeepalive::new().with_time(Duration::from_secs(10)));
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let settings = settings.set_user_timeout(Duration::from_secs(5));
    settings
}

/// The library panics inside the connecting task where the process has no crypto provider; so there is one before.
#[cfg(feature = "tls")]
fn tls_provider() -> Result<(), LockError> {
    use rustls::crypto::{CryptoProvider, ring};

    if CryptoProvider::get_default().is_none() && ring::default_provider().install_default().is_err() {
        // Somebody else was faster: then there is one, theirs.
        tracing::debug!("a rustls crypto provider was installed in the same moment");
    }
    Ok(())
}

#[cfg(not(feature = "tls"))]
fn tls_provider() -> Result<(), LockError> {
    Err(invalid("scheme", "`rediss://` needs the feature `tls` of lock-runtime"))
}

/// The first failure of a connection as an error that names the part of the URL.
pub(super) fn connect_error(failure: Failure, client: &Client) -> LockError {
    let address = client.get_connection_info().addr();
    let text = failure.reason.to_lowercase();
    if failure.kind == FailureKind::Permanent && (text.contains("password") || text.contains("noauth")) {
        let user = client
            .get_connection_info()
            .redis_settings()
            .username()
            .unwrap_or("default");
        let password = client.get_connection_info().redis_settings().password();
        return match password {
            None => invalid(
                "password",
                format!("it is missing, and the server at {address} wants one"),
            ),
            Some(_) => invalid(
                "password",
                format!("the server at {address} refused it, or the user `{user}`"),
            ),
        };
    }
    if text.contains("refused to switch database") {
        if text.contains("noauth") {
            return invalid(
                "password",
                format!("it is missing, and the server at {address} wants one"),
            );
        }
        return invalid(
            "database",
            format!("the server at {address} has no database of that number"),
        );
    }
    let part = match address {
        ConnectionAddr::Unix(_) => "path",
        _ if text.contains("lookup") || text.contains("name or service") || text.contains("resolve") => "host",
        _ => "host and port",
    };
    LockError::Unavailable {
        key: None,
        reason: format!("cannot connect to {address} ({part} of the URL): {}", failure.reason),
        source: failure.source,
    }
}
