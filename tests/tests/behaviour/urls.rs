//! Section 8: the URLs, and what `connect` says when it cannot.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use lock_runtime::{LockError, LockManager};
use lock_tests::RedisServer;
use lock_tests::server::unused_port;

use crate::support::{Stalls, held};

async fn refused(url: &str) -> LockError {
    let (begun, stalls) = (Instant::now(), Stalls::watch());
    let error = LockManager::connect(url).await.expect_err(url);
    let took = begun.elapsed().saturating_sub(stalls.total());
    assert!(took < Duration::from_secs(5), "{url}: after {took:?}");
    assert!(!error.is_conflict() && !error.is_lost(), "{url}: {error:?}");
    error
}

/// An error about the URL itself, whose text names the part that is wrong.
async fn invalid(url: &str, names: &str) {
    let error = refused(url).await;
    assert!(matches!(error, LockError::InvalidUrl { .. }), "{url}: {error:?}");
    assert!(error.to_string().contains(names), "{url}: it names {names}: {error}");
}

#[tokio::test]
async fn memory_urls_of_one_name_share_their_locks_and_others_do_not() {
    let connect = async |url: &str| LockManager::connect(url).await.unwrap();
    let (a, same) = (connect("memory://urls-a").await, connect("memory://urls-a").await);
    let other = connect("memory://urls-b").await;
    let (nameless, another) = (connect("memory://").await, connect("memory://").await);
    let _held = a.lock("job").acquire().await.unwrap();
    assert!(held(&same, "job").await);
    assert!(!held(&other, "job").await);
    let _held = nameless.lock("job").acquire().await.unwrap();
    assert!(!held(&another, "job").await);
}

#[tokio::test]
async fn tcp_and_unix_urls_lead_to_the_same_server() {
    let server = RedisServer::start();
    let tcp = LockManager::connect(&server.url()).await.unwrap();
    let unix = LockManager::connect(&server.unix_url()).await.unwrap();
    let _held = tcp.lock("job").acquire().await.unwrap();
    assert!(held(&unix, "job").await);
    assert!(unix.lock("job").try_acquire().await.unwrap().is_none());
}

#[tokio::test]
async fn the_database_comes_from_the_url() {
    let server = RedisServer::start();
    let second = LockManager::connect(&server.url_with("", "/2")).await.unwrap();
    let _held = second.lock("job").acquire().await.unwrap();
    assert!(!server.exists("lock:job"), "database 0 is empty");
    let first = LockManager::connect(&server.url()).await.unwrap();
    assert!(first.lock("job").try_acquire().await.unwrap().is_some());
    assert!(held(&second, "job").await);
}

#[tokio::test]
async fn user_and_password_come_from_the_url() {
    let server = RedisServer::start_with(|config| {
        config.set("requirepass", "secret");
    });
    server.cli(&["ACL", "SETUSER", "locker", "on", ">p@ss:w/rd", "~*", "&*", "+@all"]);
    for credentials in [":secret@", "default:secret@", "locker:p%40ss%3Aw%2Frd@"] {
        let locks = LockManager::connect(&server.url_with(credentials, "")).await.unwrap();
        locks.lock("job").acquire().await.unwrap().release().await.unwrap();
    }
}

#[tokio::test]
async fn a_wrong_or_missing_password_is_said_at_connect_without_printing_it() {
    let server = RedisServer::start_with(|config| {
        config.set("requirepass", "secret");
    });
    for credentials in ["", ":wrong-one@", "nobody:wrong-one@"] {
        let error = refused(&server.url_with(credentials, "")).await;
        let text = format!("{error} {error:?}");
        assert!(
            text.to_lowercase().contains("password"),
            "it says what is wrong: {text}"
        );
        assert!(!text.contains("wrong-one"), "it prints the password: {text}");
    }
}

#[tokio::test]
async fn a_password_is_not_printed_with_the_manager_or_its_errors() {
    let server = RedisServer::start_with(|config| {
        config.set("requirepass", "secret-word");
    });
    let locks = LockManager::connect(&server.url_with(":secret-word@", ""))
        .await
        .unwrap();
    assert!(!format!("{locks:?}").contains("secret-word"));
    let builder = LockManager::builder().url(server.url_with(":secret-word@", ""));
    assert!(!format!("{builder:?}").contains("secret-word"), "{builder:?}");
    let error = refused(&format!("redis://:secret-word@127.0.0.1:{}", unused_port())).await;
    let text = format!("{error} {error:?}");
    assert!(!text.contains("secret-word"), "{text}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable_and_named() {
    let port = unused_port();
    let error = refused(&format!("redis://127.0.0.1:{port}")).await;
    assert!(error.is_unavailable(), "{error:?}");
    assert!(
        error.to_string().contains(&port.to_string()),
        "it names the address: {error}"
    );
    let error = refused("unix:///nowhere/redis.sock").await;
    assert!(error.is_unavailable(), "{error:?}");
    assert!(
        error.to_string().contains("/nowhere/redis.sock"),
        "it names the address: {error}"
    );
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_unavailable_in_time() {
    // It accepts connections, and that is all.
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = silent.local_addr().unwrap().port();
    for scheme in ["redis", "rediss"] {
        let error = refused(&format!("{scheme}://127.0.0.1:{port}")).await;
        assert!(error.is_unavailable(), "{error:?}");
        assert!(
            error.to_string().contains(&port.to_string()),
            "it names the address: {error}"
        );
    }
}

#[tokio::test]
async fn a_database_that_the_server_does_not_have_is_said_at_connect() {
    let server = RedisServer::start();
    let error = refused(&server.url_with("", "/99")).await;
    assert!(error.to_string().contains("database"), "it names the part: {error}");
}

#[tokio::test]
async fn a_bad_url_is_an_error_of_its_own_that_names_the_part() {
    invalid("", "scheme").await;
    invalid("127.0.0.1:6379", "scheme").await;
    invalid("nonsense", "scheme").await;
    invalid("http://127.0.0.1:6379", "scheme").await;
    invalid("postgres://127.0.0.1", "scheme").await;
    invalid("redis://", "host").await;
    invalid("redis://127.0.0.1:99999", "port").await;
    invalid("redis://127.0.0.1:port", "port").await;
    invalid("redis://127.0.0.1:6379/two", "database").await;
    invalid("redis://127.0.0.1:6379/-1", "database").await;
    invalid("unix://", "path").await;
}

#[tokio::test]
async fn a_url_of_several_servers_names_the_part_that_is_wrong() {
    invalid("redis+sentinel://127.0.0.1:1,127.0.0.1:2", "service").await;
    invalid("redis+sentinel://127.0.0.1:1,,127.0.0.1:2/service", "host").await;
    invalid("redis+sentinel://127.0.0.1:1/service/two", "database").await;
    invalid("redis+sentinel://127.0.0.1:1/service?user=x", "query").await;
    invalid("redis+cluster://127.0.0.1:1,127.0.0.1:port", "port").await;
    invalid("redis+cluster://127.0.0.1:1,127.0.0.1:2/1", "database").await;
    invalid("redlock://127.0.0.1:1", "host").await;
    invalid("redlock://127.0.0.1:1,127.0.0.1:2,127.0.0.1:1", "host and port").await;
}

#[tokio::test]
async fn a_url_of_several_servers_where_none_is_running_is_unavailable() {
    for url in [
        "redis+sentinel://127.0.0.1:1,127.0.0.1:2/service",
        "redis+cluster://127.0.0.1:1,127.0.0.1:2",
        "redlock://127.0.0.1:1,127.0.0.1:2,127.0.0.1:3",
    ] {
        let error = refused(url).await;
        assert!(error.is_unavailable(), "{url}: {error:?}");
        assert!(error.to_string().contains("is it running"), "{url}: {error}");
    }
}

#[tokio::test]
async fn an_unknown_scheme_is_answered_with_the_known_ones() {
    let text = refused("memcached://127.0.0.1").await.to_string();
    for scheme in [
        "memory://",
        "redis://",
        "rediss://",
        "unix://",
        "redis+sentinel://",
        "redis+cluster://",
        "redlock://",
    ] {
        assert!(text.contains(scheme), "it names {scheme}: {text}");
    }
}

#[tokio::test]
async fn a_builder_without_a_url_says_so() {
    let error = LockManager::builder().connect().await.unwrap_err();
    assert!(error.to_string().contains(".url("), "it says what to write: {error}");
}
