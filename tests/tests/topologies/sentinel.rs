//! `redis+sentinel://`: the master that the sentinels name.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;

use lock_runtime::{LockError, LockManager};
use lock_tests::SentinelGroup;
use lock_tests::sentinel_group::SentinelSetup;
use lock_tests::server::unused_port;

use crate::support::{ANSWER, LONG, conflicts, locks, manager, two_managers, within, works};

async fn refused(url: &str) -> LockError {
    within(ANSWER, url, LockManager::connect(url)).await.expect_err(url)
}

#[tokio::test]
async fn locks_are_on_the_master_that_the_sentinels_name() {
    let group = SentinelGroup::start();
    let [one, two] = two_managers(&group.url()).await;
    let guard = one.lock("job").acquire().await.unwrap();
    assert_eq!(locks(&group.servers[0]), ["lock:job"]);
    conflicts(&two, "job").await;
    // The same lock for who knows the master by its address.
    conflicts(&manager(&group.servers[0].url(), "direct").await, "job").await;
    guard.release().await.unwrap();
    works(&two, "job").await;
}

#[tokio::test]
async fn a_database_and_a_password_are_the_master_s() {
    let group = SentinelGroup::start_with(SentinelSetup {
        password: Some("correct-horse"),
        ..SentinelSetup::default()
    });
    let url = group.url_with(":correct-horse@", "/mymaster/3");
    let manager = manager(&url, "one").await;
    let _guard = manager.lock("job").ttl(LONG).acquire().await.unwrap();
    assert!(group.servers[0].cli(&["INFO", "keyspace"]).contains("db3:"));
    assert!(locks(&group.servers[0]).is_empty());
}

#[tokio::test]
async fn sentinels_with_the_same_password_are_asked_with_it() {
    let group = SentinelGroup::start_with(SentinelSetup {
        password: Some("correct-horse"),
        sentinel_password: Some("correct-horse"),
        ..SentinelSetup::default()
    });
    let url = group.url_with(":correct-horse@", "/mymaster");
    works(&manager(&url, "one").await, "job").await;
}

#[tokio::test]
async fn a_wrong_password_is_named() {
    let group = SentinelGroup::start_with(SentinelSetup {
        password: Some("correct-horse"),
        ..SentinelSetup::default()
    });
    let error = refused(&group.url_with(":battery-staple@", "/mymaster")).await;
    let text = error.to_string();
    assert!(text.contains("password"), "{text}");
    assert!(!text.contains("battery-staple"), "{text}");
}

#[tokio::test]
async fn a_service_that_no_sentinel_knows_is_named() {
    let group = SentinelGroup::start();
    let error = refused(&group.url_with("", "/mymistake")).await;
    let text = error.to_string();
    assert!(text.contains("mymistake"), "{text}");
}

#[tokio::test]
async fn a_missing_service_name_is_an_invalid_url() {
    let error = refused("redis+sentinel://127.0.0.1:26379").await;
    assert!(matches!(error, LockError::InvalidUrl { .. }), "{error:?}");
    assert!(error.to_string().contains("service"), "{error}");
}

#[tokio::test]
async fn sentinels_that_nobody_can_reach_are_named() {
    let ports = [unused_port(), unused_port()];
    let url = format!(
        "redis+sentinel://127.0.0.1:{},127.0.0.1:{}/mymaster",
        ports[0], ports[1]
    );
    let error = refused(&url).await;
    assert!(error.is_unavailable(), "{error:?}");
    let text = error.to_string();
    assert!(ports.iter().any(|port| text.contains(&port.to_string())), "{text}");
}

#[tokio::test]
async fn a_server_that_is_no_sentinel_is_an_error_that_says_so() {
    let group = SentinelGroup::start();
    let url = format!("redis+sentinel://127.0.0.1:{}/mymaster", group.servers[0].port());
    let error = refused(&url).await;
    assert!(error.to_string().to_lowercase().contains("sentinel"), "{error}");
}

#[tokio::test]
async fn connect_works_while_most_sentinels_are_dead_or_hung() {
    let mut group = SentinelGroup::start_with(SentinelSetup {
        sentinels: Some(3),
        ..SentinelSetup::default()
    });
    group.sentinels[0].pause();
    group.sentinels[1].kill();
    works(&manager(&group.url(), "one").await, "job").await;
}

#[tokio::test]
async fn locks_go_on_while_all_sentinels_are_dead() {
    let mut group = SentinelGroup::start();
    let [one, two] = two_managers(&group.url()).await;
    let guard = crate::support::watched(&one, "job").await;
    group.sentinels[0].kill();
    crate::support::until_renewed(guard.lease()).await;
    conflicts(&two, "job").await;
    works(&two, "another").await;
}

#[tokio::test]
async fn a_server_that_says_it_is_a_replica_is_not_used_whatever_the_sentinel_says() {
    let group = SentinelGroup::start();
    let port = sentinel_that_names(group.servers[1].port());
    let error = refused(&format!("redis+sentinel://127.0.0.1:{port}/mymaster")).await;
    assert!(error.is_unavailable(), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("replica") || text.contains("master"), "{text}");
}

/// The port of a sentinel which knows nothing but that the server at `master` is the master.
fn sentinel_that_names(master: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // Ends with the test process; it holds nothing.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut answers = stream.try_clone().unwrap();
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    let master = master.to_string();
                    let reply = match line.to_ascii_lowercase().as_str() {
                        "get-master-addr-by-name" => {
                            format!("*2\r\n$9\r\n127.0.0.1\r\n${}\r\n{master}\r\n", master.len())
                        }
                        "role" => "*2\r\n$8\r\nsentinel\r\n*1\r\n$8\r\nmymaster\r\n".to_owned(),
                        "ping" => "+PONG\r\n".to_owned(),
                        "masters" => format!(
                            "*1\r\n*8\r\n$4\r\nname\r\n$8\r\nmymaster\r\n$2\r\nip\r\n$9\r\n127.0.0.1\r\n\
                             $4\r\nport\r\n${}\r\n{master}\r\n$5\r\nflags\r\n$6\r\nmaster\r\n",
                            master.len()
                        ),
                        "subscribe" | "psubscribe" => return,
                        _ => continue,
                    };
                    if answers.write_all(reply.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}
