//! What is looked at when a manager connects, and what it says where something is not right.

use lock_runtime::LockManager;
use lock_tests::{ClusterGroup, RedisServer, RedlockGroup, Replication, SentinelGroup};
use tracing::Level;

use crate::collector::{self, a_warning, an_event};
use crate::forger::{behind_by, forged, of_version};
use crate::support::{ANSWER, manager, within, works};

/// The server may throw locks away when its memory is full.
fn evicting() -> RedisServer {
    RedisServer::start_with(|config| {
        config.set("maxmemory-policy", "allkeys-lru");
    })
}

fn speaks_of_eviction(text: &str, server: &RedisServer) -> bool {
    text.contains(&server.port().to_string()) && text.contains("maxmemory-policy") && text.contains("noeviction")
}

/// All that was said of this server at WARN or above.
fn warnings_of(server: &RedisServer) -> Vec<String> {
    let mut texts = collector::texts(Level::WARN);
    texts.retain(|text| text.contains(&server.port().to_string()));
    texts
}

#[tokio::test]
async fn a_server_that_may_evict_locks_is_warned_about() {
    collector::install();
    let server = evicting();
    let manager = manager(&server.url(), "one").await;
    a_warning("the policy", |text| speaks_of_eviction(text, &server)).await;
    works(&manager, "job").await;
}

#[tokio::test]
async fn a_server_as_it_should_be_is_not_warned_about() {
    collector::install();
    let server = RedisServer::start();
    works(&manager(&server.url(), "one").await, "job").await;
    assert_eq!(warnings_of(&server), [""; 0]);
}

#[tokio::test]
async fn each_member_of_a_redlock_group_is_looked_at() {
    collector::install();
    let group = RedlockGroup::start(3);
    group.members[1].cli(&["CONFIG", "SET", "maxmemory-policy", "volatile-ttl"]);
    works(&manager(&group.url(), "one").await, "job").await;
    a_warning("the policy", |text| speaks_of_eviction(text, &group.members[1])).await;
    assert!(warnings_of(&group.members[0]).is_empty());
}

#[tokio::test]
async fn the_master_that_the_sentinels_name_is_looked_at() {
    collector::install();
    let group = SentinelGroup::start();
    group.servers[0].cli(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lfu"]);
    works(&manager(&group.url(), "one").await, "job").await;
    a_warning("the policy", |text| speaks_of_eviction(text, &group.servers[0])).await;
}

#[tokio::test]
async fn the_nodes_of_a_cluster_are_looked_at() {
    collector::install();
    let cluster = ClusterGroup::start();
    for node in cluster.nodes() {
        node.cli(&["CONFIG", "SET", "maxmemory-policy", "allkeys-random"]);
    }
    works(&manager(&cluster.url(), "one").await, "job").await;
    for node in cluster.nodes() {
        a_warning("the policy", |text| speaks_of_eviction(text, node)).await;
    }
}

#[tokio::test]
async fn a_replica_is_refused_or_warned_about_when_a_manager_connects() {
    collector::install();
    let replication = Replication::start(1);
    let replica = &replication.replicas[0];
    let text = match within(ANSWER, "connect", LockManager::connect(replica.url())).await {
        Err(error) => error.to_string(),
        Ok(_) => {
            a_warning("the replica", |text| {
                text.contains(&replica.port().to_string()) && text.contains("replica")
            })
            .await;
            return;
        }
    };
    assert!(text.contains("replica") && text.contains("master"), "{text}");
    assert!(text.contains(&replica.port().to_string()), "{text}");
}

#[tokio::test]
async fn a_server_that_forbids_the_questions_gets_a_note_and_works() {
    collector::install();
    let server = evicting();
    server.user(
        "locker",
        "correct-horse",
        &[
            "~lock:*",
            "~distributed-lock:*",
            "&distributed-lock:*",
            "+@all",
            "-INFO",
            "-CONFIG",
        ],
    );
    let url = server.url_with("locker:correct-horse@", "");
    works(&manager(&url, "one").await, "job").await;
    let port = server.port().to_string();
    an_event(Level::INFO, "what could not be asked", |text| {
        text.contains(&port) && (text.contains("INFO") || text.contains("CONFIG"))
    })
    .await;
    let warnings = warnings_of(&server);
    assert!(warnings.is_empty(), "a note is no warning: {warnings:?}");
}

#[tokio::test]
async fn a_server_that_forbids_config_alone_is_asked_otherwise() {
    collector::install();
    let server = evicting();
    server.user(
        "locker",
        "correct-horse",
        &[
            "~lock:*",
            "~distributed-lock:*",
            "&distributed-lock:*",
            "+@all",
            "-CONFIG",
        ],
    );
    let url = server.url_with("locker:correct-horse@", "");
    works(&manager(&url, "one").await, "job").await;
    a_warning("the policy", |text| speaks_of_eviction(text, &server)).await;
}

#[tokio::test]
async fn a_server_that_is_too_old_is_an_error_or_a_warning_with_its_version() {
    collector::install();
    let server = RedisServer::start();
    let url = forged(&server, of_version("2.8.99"));
    let text = match within(ANSWER, "connect", LockManager::connect(&url)).await {
        Err(error) => error.to_string(),
        Ok(_) => {
            a_warning("the version", |text| text.contains("2.8.9")).await;
            return;
        }
    };
    assert!(text.contains("2.8.9"), "{text}");
}

#[tokio::test]
async fn a_clock_that_differs_is_warned_about() {
    collector::install();
    let server = RedisServer::start();
    let url = forged(&server, behind_by(3600));
    let port = url.rsplit_once(':').unwrap().1.to_owned();
    let manager = manager(&url, "one").await;
    a_warning("the clock", |text| text.contains(&port) && text.contains("clock")).await;
    works(&manager, "job").await;
}

#[tokio::test]
async fn the_checks_do_not_make_connect_late_when_the_server_is_slow() {
    let server = RedisServer::start();
    let proxy = lock_tests::Proxy::to(&server);
    proxy.delay(std::time::Duration::from_millis(200));
    let connecting = LockManager::connect(proxy.url());
    drop(within(ANSWER, "connect", connecting).await.unwrap());
}
