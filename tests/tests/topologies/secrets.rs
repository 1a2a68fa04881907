//! No password, no private key, no key that is to be redacted, in what anybody may read.

use std::error::Error;
use std::time::Duration;

use lock_runtime::{LockError, LockManager, Tls};
use lock_tests::sentinel_group::SentinelSetup;
use lock_tests::{Authority, ClusterGroup, Proxy, RedisServer, RedlockGroup, SentinelGroup, eventually};
use tracing::Level;

use crate::collector;
use crate::support::{ANSWER, LATE, LONG, until_not_renewed_for, watched, within, works, works_again};

/// In no text of this process, except where the test itself writes it.
const SECRET: &str = "correct-horse-battery";

/// All that an error says, however it is looked at.
fn texts(error: &LockError) -> Vec<String> {
    let mut texts = vec![error.to_string(), format!("{error:?}"), format!("{error:#?}")];
    let mut source = error.source();
    while let Some(error) = source {
        texts.extend([error.to_string(), format!("{error:?}")]);
        source = error.source();
    }
    texts
}

fn is_in_none(secret: &str, texts: &[String]) {
    for text in texts {
        assert!(!text.contains(secret), "a secret is in {text:?}");
    }
}

fn is_traced_nowhere(secret: &str) {
    is_in_none(secret, &collector::texts(Level::TRACE));
}

fn is_not_in(error: &LockError) {
    is_in_none(SECRET, &texts(error));
    is_in_none("%2Dhorse", &texts(error));
}

fn with_password() -> RedisServer {
    RedisServer::start_with(|config| {
        config.set("requirepass", SECRET);
    })
}

#[tokio::test]
async fn a_password_is_nowhere_while_all_goes_well_and_while_it_does_not() {
    collector::install();
    let server = with_password();
    let proxy = Proxy::to(&server);
    let url = proxy.url().replace("redis://", &format!("redis://:{SECRET}@"));
    let builder = LockManager::builder().url(url).default_ttl(LONG);
    assert!(!format!("{builder:?} {builder:#?}").contains(SECRET));
    let manager = builder.connect().await.unwrap();
    let guard = watched(&manager, "secret:1").await;
    assert!(!format!("{manager:?} {guard:?} {:?}", guard.lease()).contains(SECRET));
    let holder = manager.inspect("secret:1").await.unwrap().unwrap();
    assert!(!format!("{holder:?} {}", holder.owner()).contains(SECRET));

    proxy.refuse(true);
    proxy.cut();
    until_not_renewed_for(guard.lease(), Duration::from_secs(1)).await;
    is_not_in(&manager.lock("secret:2").try_acquire().await.unwrap_err());
    proxy.refuse(false);
    drop(works_again(&manager, "secret:2").await);
    // Somebody changes the password.
    server.cli(&["CONFIG", "SET", "requirepass", "another"]);
    proxy.cut();
    is_not_in(&manager.lock("secret:3").try_acquire().await.unwrap_err());
    drop(guard);
    manager.shutdown(Duration::ZERO).await;
    is_traced_nowhere(SECRET);
}

#[tokio::test]
async fn a_wrong_password_is_not_repeated_on_any_topology() {
    collector::install();
    let server = RedisServer::start_with(|config| {
        config.set("requirepass", "another");
    });
    let group = RedlockGroup::start_with(3, |config| {
        config.set("requirepass", "another");
    });
    let sentinels = SentinelGroup::start_with(SentinelSetup {
        password: Some("another"),
        ..SentinelSetup::default()
    });
    let cluster = ClusterGroup::start();
    for node in cluster.nodes() {
        node.cli(&["CONFIG", "SET", "requirepass", "another"]);
    }
    let urls = [
        server.url_with(&format!(":{SECRET}@"), ""),
        server.url_with(&format!("{SECRET}:{SECRET}@"), ""),
        group.url().replace("redlock://", &format!("redlock://:{SECRET}@")),
        sentinels.url_with(&format!(":{SECRET}@"), "/mymaster"),
        cluster.url_with(&format!(":{SECRET}@"), ""),
    ];
    for (number, url) in urls.iter().enumerate() {
        let error = within(ANSWER, "connect", LockManager::connect(url)).await.unwrap_err();
        // A user's name is none.
        if number != 1 {
            is_not_in(&error);
        }
        assert!(
            error.to_string().contains("password"),
            "{}: {error}",
            url.split(':').next().unwrap()
        );
    }
    let members: Vec<_> = group
        .urls()
        .iter()
        .map(|url| url.replace("redis://", &format!("redis://:{SECRET}@")))
        .collect();
    let builder = LockManager::builder().redlock(members);
    assert!(!format!("{builder:?}").contains(SECRET));
    is_not_in(&within(ANSWER, "connect", builder.connect()).await.unwrap_err());
}

#[tokio::test]
async fn a_url_that_is_wrong_is_not_repeated() {
    let wrong = [
        "redlock://u:SECRET@127.0.0.1:99999",
        "redlock://u:SECRET@127.0.0.1:1/x",
        "redlock://u:SECRET@",
        "redis+sentinel://u:SECRET@127.0.0.1:1",
        "redis+sentinel://u:SECRET@127.0.0.1:x/mymaster",
        "redis+sentinel://u:SECRET@127.0.0.1:1/mymaster/x",
        "redis+cluster://u:SECRET@127.0.0.1:1/3",
        "redis+cluster://u:SECRET@/",
        "redis+cluster://u:SECRET@[::1",
        "redis+clutter://u:SECRET@127.0.0.1:1",
        "u:SECRET@127.0.0.1:1",
    ];
    for url in wrong {
        let url = url.replace("SECRET", SECRET);
        is_not_in(&within(ANSWER, "connect", LockManager::connect(&url)).await.unwrap_err());
        let builder = LockManager::builder().redlock([url]);
        is_not_in(&within(ANSWER, "connect", builder.connect()).await.unwrap_err());
    }
}

#[tokio::test]
async fn a_private_key_is_in_no_text() {
    collector::install();
    let authority = Authority::new();
    let server = authority.server_for_known_clients();
    let identity = authority.identity(&["client"]);
    let secret = identity.key.lines().nth(1).unwrap().to_owned();
    let bytes = format!("{:?}", &identity.key.as_bytes()[40..60]);
    let bytes = bytes.trim_matches(['[', ']']);
    let tls = Tls::new()
        .ca(authority.pem())
        .client(identity.certificate, identity.key);
    let url = format!("rediss://127.0.0.1:{}", server.port());
    let builder = LockManager::builder().url(url).default_ttl(LONG).tls(tls.clone());
    for text in [format!("{tls:?}"), format!("{builder:?}")] {
        assert!(!text.contains(&secret) && !text.contains(bytes), "{text}");
    }
    works(&builder.connect().await.unwrap(), "job").await;
    is_traced_nowhere(&secret);
}

#[tokio::test]
async fn keys_are_redacted_where_that_is_asked_for() {
    collector::install();
    let server = RedisServer::start();
    let builder = LockManager::builder()
        .url(server.url())
        .default_ttl(LONG)
        .redact_keys(true);
    let manager = builder.owner("redacting").connect().await.unwrap();
    let guard = watched(&manager, "patient:mrs-miller").await;
    guard.release().await.unwrap();
    let guard = watched(&manager, "patient:mrs-miller").await;
    server.cli(&["DEL", "lock:patient:mrs-miller"]);
    guard.lease().lost().await;
    drop(guard);
    let lost = watched(&manager, "patient:mrs-miller").await;
    server.pause();
    until_not_renewed_for(lost.lease(), Duration::from_secs(1)).await;
    let answer = within(ANSWER, "acquire", manager.lock("patient:mrs-miller").try_acquire());
    assert!(answer.await.unwrap_err().is_unavailable());
    server.resume();
    lost.release().await.unwrap();
    is_traced_nowhere("miller");
    // Holds of one key can be told to be so all the same.
    eventually("each hold has its span", LATE, async || {
        spans_of("redacting").len() >= 3
    })
    .await;
    let keys = spans_of("redacting");
    assert!(!keys[0].is_empty(), "{keys:?}");
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
}

/// The keys in the spans of this owner's holds.
fn spans_of(owner: &str) -> Vec<String> {
    let texts = collector::texts(Level::TRACE);
    let spans = texts.iter().filter(|text| text.contains(&format!("owner={owner} ")));
    spans
        .filter_map(|text| text.split("key=").nth(1)?.split(' ').next().map(str::to_owned))
        .collect()
}

#[tokio::test]
async fn keys_are_written_where_nothing_else_is_asked_for() {
    collector::install();
    let server = RedisServer::start();
    let manager = LockManager::builder()
        .url(server.url())
        .owner("open")
        .connect()
        .await
        .unwrap();
    manager.lock("open:1").acquire().await.unwrap().release().await.unwrap();
    eventually("the hold has its span", LATE, async || {
        spans_of("open").iter().any(|key| key.contains("open:1"))
    })
    .await;
}
