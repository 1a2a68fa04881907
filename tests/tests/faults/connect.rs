//! `connect` answers within 5 s, with what is wrong and with which part of the URL, and never shows
//! the password.

use std::error::Error as _;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use lock_runtime::{LockError, LockManager};
use lock_tests::RedisServer;
use lock_tests::server::unused_port;

use crate::support::{ANSWER, within};

/// A password that no message may show.
const SECRET: &str = "correct-horse";

/// The error of a `connect` that must fail; answered in time, without the password.
async fn refused(url: &str) -> LockError {
    let error = within(ANSWER, url, LockManager::connect(url)).await.expect_err(url);
    let mut texts = vec![error.to_string(), format!("{error:?}")];
    let mut source = error.source();
    while let Some(error) = source {
        texts.extend([error.to_string(), format!("{error:?}")]);
        source = error.source();
    }
    for text in texts {
        assert!(!text.contains(SECRET), "the password is in {text:?}");
    }
    error
}

/// The error's text names `part`, whatever the case.
fn names(error: &LockError, part: &str) {
    let text = error.to_string();
    assert!(
        text.to_lowercase().contains(&part.to_lowercase()),
        "no {part:?} in {text:?}"
    );
}

fn with_password() -> RedisServer {
    RedisServer::start_with(|config| {
        config.set("requirepass", SECRET);
    })
}

/// The manager can take and release a lock.
async fn works(manager: &LockManager) {
    manager.lock("job").acquire().await.unwrap().release().await.unwrap();
}

#[tokio::test]
async fn a_port_that_nobody_listens_on_is_named() {
    let address = format!("127.0.0.1:{}", unused_port());
    let error = refused(&format!("redis://{address}")).await;
    names(&error, &address);
    assert!(error.is_unavailable(), "{error:?}");
}

#[tokio::test]
async fn a_server_that_hangs_is_named() {
    let server = RedisServer::start();
    server.pause();
    let error = refused(&server.url()).await;
    names(&error, &format!("127.0.0.1:{}", server.port()));
    assert!(error.is_unavailable(), "{error:?}");
}

#[tokio::test]
async fn a_hung_server_on_a_unix_socket_is_named() {
    let server = RedisServer::start();
    server.pause();
    let error = refused(&server.unix_url()).await;
    names(&error, &server.socket().display().to_string());
    assert!(error.is_unavailable(), "{error:?}");
}

#[tokio::test]
async fn a_listener_that_never_accepts_is_named() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let error = refused(&format!("redis://{address}")).await;
    names(&error, &address);
    assert!(error.is_unavailable(), "{error:?}");
}

#[tokio::test]
async fn a_server_that_is_no_redis_is_named() {
    let web = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = web.local_addr().unwrap().to_string();
    // Ends with the test process; it holds nothing.
    std::thread::spawn(move || {
        for stream in web.incoming() {
            let Ok(mut stream) = stream else { continue };
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        }
    });
    names(&refused(&format!("redis://{address}")).await, &address);
}

#[tokio::test]
async fn a_host_that_cannot_be_resolved_is_named() {
    // A label has at most 63 bytes: resolvers refuse it without asking anybody.
    let host = format!("{}.test", "h".repeat(64));
    names(&refused(&format!("redis://user:{SECRET}@{host}:6379")).await, &host);
}

#[tokio::test]
async fn a_url_without_a_scheme_is_invalid() {
    let error = refused("127.0.0.1:6379").await;
    assert!(matches!(error, LockError::InvalidUrl { .. }), "{error:?}");
    names(&error, "redis://");
}

#[tokio::test]
async fn an_empty_url_is_invalid() {
    let error = refused("").await;
    assert!(matches!(error, LockError::InvalidUrl { .. }), "{error:?}");
}

#[tokio::test]
async fn an_unknown_scheme_is_named() {
    let error = refused(&format!("http://user:{SECRET}@127.0.0.1:6379")).await;
    assert!(matches!(error, LockError::InvalidUrl { .. }), "{error:?}");
    names(&error, "http");
}

#[tokio::test]
async fn a_port_that_is_no_port_is_named() {
    let error = refused(&format!("redis://user:{SECRET}@127.0.0.1:99999")).await;
    assert!(matches!(error, LockError::InvalidUrl { .. }), "{error:?}");
    names(&error, "port");
}

#[tokio::test]
async fn a_host_that_is_no_host_is_named() {
    names(
        &refused(&format!("redis://user:{SECRET}@127.0.0.256:6379")).await,
        "host",
    );
}

#[tokio::test]
async fn a_database_that_is_no_number_is_named() {
    let error = refused(&format!("redis://user:{SECRET}@127.0.0.1:6379/orders")).await;
    assert!(matches!(error, LockError::InvalidUrl { .. }), "{error:?}");
    names(&error, "database");
}

#[tokio::test]
async fn a_database_that_the_server_does_not_have_is_named() {
    let server = RedisServer::start();
    let error = refused(&server.url_with("", "/99")).await;
    names(&error, "database");
}

#[tokio::test]
async fn a_missing_password_is_named() {
    let server = with_password();
    names(&refused(&server.url()).await, "password");
}

#[tokio::test]
async fn a_missing_password_on_a_unix_socket_is_named() {
    let server = with_password();
    names(&refused(&server.unix_url()).await, "password");
}

#[tokio::test]
async fn a_wrong_password_is_named_and_not_shown() {
    let server = RedisServer::start_with(|config| {
        config.set("requirepass", "another");
    });
    names(&refused(&server.url_with(&format!(":{SECRET}@"), "")).await, "password");
}

#[tokio::test]
async fn a_wrong_password_on_a_unix_socket_is_named_and_not_shown() {
    let server = RedisServer::start_with(|config| {
        config.set("requirepass", "another");
    });
    let url = format!("{}?pass={SECRET}", server.unix_url());
    names(&refused(&url).await, "password");
}

#[tokio::test]
async fn an_unknown_user_is_named() {
    let server = RedisServer::start();
    names(
        &refused(&server.url_with(&format!("nobody:{SECRET}@"), "")).await,
        "user",
    );
}

#[tokio::test]
async fn a_password_that_the_server_does_not_ask_for_is_named_or_accepted() {
    let server = RedisServer::start();
    // Redis 6 and later take any password for a default user that has none; older ones refuse.
    let connected = LockManager::connect(&server.url_with(&format!(":{SECRET}@"), "")).await;
    match connected {
        Ok(manager) => works(&manager).await,
        Err(error) => names(&error, "password"),
    }
}

#[tokio::test]
async fn a_socket_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nothing.sock");
    names(
        &refused(&format!("unix://{}", path.display())).await,
        &path.display().to_string(),
    );
}

#[tokio::test]
async fn a_socket_that_is_a_plain_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plain");
    std::fs::write(&path, "").unwrap();
    names(
        &refused(&format!("unix://{}", path.display())).await,
        &path.display().to_string(),
    );
}

#[tokio::test]
async fn a_unix_url_without_a_path_is_invalid() {
    let error = refused("unix://").await;
    assert!(matches!(error, LockError::InvalidUrl { .. }), "{error:?}");
    names(&error, "path");
}

#[tokio::test]
async fn the_password_of_the_url_is_used() {
    let server = with_password();
    let manager = LockManager::connect(&server.url_with(&format!(":{SECRET}@"), ""))
        .await
        .unwrap();
    works(&manager).await;
}

#[tokio::test]
async fn a_percent_encoded_password_is_decoded() {
    let server = RedisServer::start_with(|config| {
        config.set("requirepass", "p@ss/w:rd%");
    });
    let url = server.url_with(":p%40ss%2Fw%3Ard%25@", "");
    works(&LockManager::connect(&url).await.unwrap()).await;
}

#[tokio::test]
async fn the_user_of_the_url_is_used() {
    let server = RedisServer::start_with(|config| {
        config
            .set("user", format!("shop on >{SECRET} ~* &* +@all"))
            .set("user", "default off");
    });
    let manager = LockManager::connect(&server.url_with(&format!("shop:{SECRET}@"), ""))
        .await
        .unwrap();
    works(&manager).await;
    assert!(server.cli(&["CLIENT", "LIST"]).contains("user=shop"));
}

#[tokio::test]
async fn the_database_of_the_url_is_used() {
    let server = RedisServer::start();
    let manager = LockManager::connect(&server.url_with("", "/3")).await.unwrap();
    let _guard = manager.lock("job").acquire().await.unwrap();
    assert!(!server.exists("lock:job"), "the lock is in database 0");
    assert!(server.cli(&["INFO", "keyspace"]).contains("db3:"));
}

#[tokio::test]
async fn a_server_is_found_at_the_second_address_of_its_name_too() {
    // It listens on 127.0.0.1; localhost may be ::1 first.
    let server = RedisServer::start();
    let url = format!("redis://localhost:{}", server.port());
    works(&LockManager::connect(&url).await.unwrap()).await;
}

#[tokio::test]
async fn a_unix_socket_is_used() {
    let server = RedisServer::start();
    let manager = LockManager::connect(&server.unix_url()).await.unwrap();
    let _guard = manager.lock("job").acquire().await.unwrap();
    assert!(server.exists("lock:job"));
    let clients = server.cli(&["CLIENT", "LIST"]);
    let ours = clients.lines().filter(|line| line.contains("user=default"));
    for client in ours {
        assert!(
            client.contains("redis.sock"),
            "a connection that is no socket's: {client}"
        );
    }
}

#[tokio::test]
async fn user_password_and_database_of_a_unix_url_are_used() {
    let server = RedisServer::start_with(|config| {
        config
            .set("user", format!("shop on >{SECRET} ~* &* +@all"))
            .set("user", "default off");
    });
    let url = format!("{}?user=shop&pass={SECRET}&db=3", server.unix_url());
    let manager = LockManager::connect(&url).await.unwrap();
    let _guard = manager.lock("job").acquire().await.unwrap();
    assert!(server.cli(&["INFO", "keyspace"]).contains("db3:"));
}

#[tokio::test]
async fn a_manager_does_not_show_its_password() {
    let server = with_password();
    let url = server.url_with(&format!(":{SECRET}@"), "");
    let builder = format!("{:?}", LockManager::builder().url(&url));
    assert!(!builder.contains(SECRET), "{builder}");
    let manager = LockManager::connect(&url).await.unwrap();
    let manager = format!("{manager:?}");
    assert!(!manager.contains(SECRET), "{manager}");
}

#[tokio::test]
async fn a_password_that_changed_since_is_an_error_that_does_not_show_it() {
    let server = with_password();
    let url = server.url_with(&format!(":{SECRET}@"), "");
    let manager = LockManager::connect(&url).await.unwrap();
    server.cli(&["CONFIG", "SET", "requirepass", "another"]);
    server.cli(&["CLIENT", "KILL", "USER", "default"]);
    let error = within(ANSWER, "acquire", manager.lock("job").try_acquire())
        .await
        .unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");
    assert!(!format!("{error} {error:?}").contains(SECRET), "{error:?}");
}

#[tokio::test]
async fn a_user_who_may_not_write_is_told_so() {
    let server = RedisServer::start_with(|config| {
        config.set("user", "default on nopass ~* &* +@read +@connection");
    });
    // At `connect` or at the first lock; never a conflict.
    let error = match LockManager::connect(&server.url()).await {
        Ok(manager) => manager.lock("job").try_acquire().await.unwrap_err(),
        Err(error) => error,
    };
    assert!(error.is_unavailable(), "{error:?}");
}

#[test]
fn a_builder_without_a_url_says_so() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let error = runtime.block_on(LockManager::builder().connect()).unwrap_err();
    let wrong = matches!(error, LockError::InvalidUrl { .. } | LockError::InvalidOption { .. });
    assert!(wrong, "{error:?}");
    names(&error, "url");
}
