//! From a URL to the client library's settings, and from its first failure back to the part of the URL.

use std::time::Duration;

use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{Client, ConnectionAddr, IntoConnectionInfo};
use url::Url;

use super::super::{Failure, FailureKind};
use super::door::Door;
use super::tls;
use crate::LockError;
use crate::url::{Settings, invalid};

/// Checks what the library would take silently or explain badly, then makes the way to the server.
///
/// # Errors
///
/// [`LockError::InvalidUrl`] with the part that is wrong, [`LockError::InvalidOption`] for certificates.
pub(in crate::backend) fn door(url: &Url, settings: &Settings) -> Result<Door, LockError> {
    Ok(Door::new(client(url, settings)?, settings.network.clone()))
}

fn client(url: &Url, settings: &Settings) -> Result<Client, LockError> {
    check(url)?;
    let info = url.clone().into_connection_info().map_err(|error| {
        // The library's text names the setting and holds no secret; the URL stays out of it.
        invalid(
            "URL",
            error.category().to_owned() + error.detail().map_or("", |_| ": see the parts of the URL"),
        )
    })?;
    let redis = info.redis_settings().clone().set_skip_set_lib_name();
    let info = info.set_tcp_settings(tcp_settings()).set_redis_settings(redis);
    if url.scheme() == "rediss" {
        return tls::client(info, settings);
    }
    tls::refuse(settings)?;
    Client::open(info).map_err(|error| invalid("URL", error.category()))
}

/// The way to a sentinel, and what stands for the way to its master: the URL's user, password and database are the
/// master's, and sentinels have their own in the query.
///
/// # Errors
///
/// [`LockError::InvalidUrl`] with the part that is wrong.
pub(super) fn sentinel_urls(url: &Url) -> Result<(Url, Url), LockError> {
    let (mut own, mut master) = (url.clone(), url.clone());
    own.set_path("");
    for part in [&mut own, &mut master] {
        part.set_query(None);
    }
    let cannot = |()| invalid("query", "sentinels of this URL cannot have a user or a password");
    own.set_username("").map_err(cannot)?;
    own.set_password(None).map_err(cannot)?;
    for (name, value) in url.query_pairs() {
        match &*name {
            "sentinel_user" => own.set_username(&value).map_err(cannot)?,
            "sentinel_password" => own.set_password(Some(&value)).map_err(cannot)?,
            "protocol" => {
                for part in [&mut own, &mut master] {
                    part.query_pairs_mut().append_pair(&name, &value);
                }
            }
            name => {
                let there_are = "there are `sentinel_user`, `sentinel_password` and `protocol`";
                return Err(unknown(url, name, there_are));
            }
        }
    }
    Ok((own, master))
}

/// Sentinels have none.
pub(super) fn without_database(url: &Url) -> Url {
    let mut url = url.clone();
    url.set_path("");
    url
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
            name if unix => return Err(unknown(url, name, "there are `db`, `user`, `pass` and `protocol`")),
            name => return Err(unknown(url, name, "there is `protocol`")),
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

/// Shows the name, but not where it may be the end of a password that has a `?` in it.
fn unknown(url: &Url, name: &str, there_are: &str) -> LockError {
    let reason = if url.query().is_some_and(|query| query.contains('@')) {
        format!("it has an unknown name ({there_are}); in a user or a password write `%3F` for `?`")
    } else {
        format!("`{name}` is unknown; {there_are}")
    };
    invalid("query", reason)
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

/// No server is known yet that one could fail to connect to.
pub(super) fn no_server(failure: Failure) -> LockError {
    if failure.kind == FailureKind::Permanent && failure.reason.contains("know no master") {
        return invalid("service", failure.reason);
    }
    LockError::Unavailable {
        key: None,
        reason: format!("cannot connect (host and port of the URL): {}", failure.reason),
        source: failure.source,
    }
}

/// The first failure of a connection as an error that names the part of the URL.
pub(in crate::backend) fn connect_error(failure: Failure, door: &Door) -> LockError {
    let client = door.client();
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
    if text.contains("lead to one server") {
        return invalid("host and port", failure.reason);
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
        ConnectionAddr::TcpTls { .. } if text.contains("alert") => {
            "TLS: the server refused us; does it know the client's certificate, `Tls::client`, or want one?"
        }
        ConnectionAddr::TcpTls { .. } if text.contains("certificate") => {
            "TLS: the server's certificate is not trusted; name its authority by `Tls::ca`"
        }
        _ => "host and port",
    };
    LockError::Unavailable {
        key: None,
        reason: format!("cannot connect to {address} ({part} of the URL): {}", failure.reason),
        source: failure.source,
    }
}
