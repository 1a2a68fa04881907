//! `redlock://`: who may be a member, and what `connect` says about the group.

use lock_runtime::{LockError, LockManager};
use lock_tests::server::unused_port;
use lock_tests::{RedisServer, RedlockGroup};

use crate::collector;
use crate::forger::forged;
use crate::support::{ANSWER, SOON, within, works, works_again};

async fn refused(url: &str) -> LockError {
    within(ANSWER, url, LockManager::connect(url)).await.expect_err(url)
}

#[tokio::test]
async fn two_addresses_of_one_server_are_refused() {
    let (one, another) = (RedisServer::start(), RedisServer::start());
    let url = format!(
        "redlock://127.0.0.1:{},localhost:{},127.0.0.1:{}",
        one.port(),
        one.port(),
        another.port()
    );
    let error = refused(&url).await;
    assert!(matches!(error, LockError::InvalidUrl { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("one server"), "{text}");
    assert!(text.contains(&one.port().to_string()), "{text}");
}

#[tokio::test]
async fn the_same_address_twice_is_refused() {
    let (one, another) = (RedisServer::start(), RedisServer::start());
    let error = refused(&format!(
        "redlock://127.0.0.1:{},127.0.0.1:{},127.0.0.1:{}",
        one.port(),
        another.port(),
        one.port()
    ))
    .await;
    assert!(matches!(error, LockError::InvalidUrl { .. }), "{error:?}");
}

#[tokio::test]
async fn two_addresses_of_one_server_never_make_a_majority() {
    // The first is known to be the second only when it answers.
    let server = RedisServer::start();
    let url = format!(
        "redlock://127.0.0.1:{},localhost:{},127.0.0.1:{}",
        server.port(),
        server.port(),
        unused_port()
    );
    if let Ok(manager) = within(ANSWER, "connect", LockManager::connect(&url)).await {
        crate::support::unavailable(&manager, "job").await;
    }
}

#[tokio::test]
async fn an_even_number_of_members_is_warned_about() {
    collector::install();
    let group = RedlockGroup::start(4);
    let manager = LockManager::connect(group.url()).await.unwrap();
    collector::a_warning("a group of four", |text| text.contains("even") || text.contains("odd")).await;
    works(&manager, "job").await;
}

#[tokio::test]
async fn connect_works_while_a_minority_is_dead() {
    let mut group = RedlockGroup::start(3);
    group.members[0].kill();
    works_in_time(&group).await;
}

#[tokio::test]
async fn connect_works_while_a_minority_hangs() {
    let group = RedlockGroup::start(3);
    group.members[2].pause();
    works_in_time(&group).await;
}

/// New members may be made to wait for one ttl where not all of them can be asked what they know.
async fn works_in_time(group: &RedlockGroup) {
    let builder = LockManager::builder().url(group.url()).default_ttl(SOON);
    let manager = within(ANSWER, "connect", builder.connect()).await.unwrap();
    works_again(&manager, "job").await.release().await.unwrap();
}

#[tokio::test]
async fn connect_without_a_majority_names_who_does_not_answer() {
    let mut group = RedlockGroup::start(3);
    group.members[0].kill();
    group.members[1].pause();
    let error = refused(&group.url()).await;
    assert!(error.is_unavailable(), "{error:?}");
    let text = error.to_string();
    let named = |member: usize| text.contains(&group.members[member].port().to_string());
    assert!(named(0) || named(1), "{text}");
}

#[tokio::test]
async fn servers_that_do_not_say_who_they_are_have_no_vote() {
    let group = RedlockGroup::start(3);
    let nameless = |member| forged(member, |reply| reply.replace("run_id:", "who_is:"));
    let connecting = LockManager::builder()
        .redlock(group.members.iter().map(nameless))
        .connect();
    let error = within(ANSWER, "connect", connecting).await.unwrap_err();
    assert!(error.to_string().contains("run_id"), "{error}");
}

#[tokio::test]
async fn a_url_without_members_is_invalid() {
    for url in ["redlock://", "redlock:///0", "redlock://127.0.0.1:99999,127.0.0.1:1"] {
        let error = refused(url).await;
        assert!(matches!(error, LockError::InvalidUrl { .. }), "{url}: {error:?}");
    }
    let nobody: [&str; 0] = [];
    let error = LockManager::builder().redlock(nobody).connect().await.unwrap_err();
    let is_about_it = matches!(error, LockError::InvalidUrl { .. } | LockError::InvalidOption { .. });
    assert!(is_about_it, "{error:?}");
}

#[tokio::test]
async fn a_member_must_be_one_server() {
    for member in [
        "memory://",
        "redlock://127.0.0.1:1",
        "redis+cluster://127.0.0.1:1",
        "job",
    ] {
        let builder = LockManager::builder().redlock([member, "redis://127.0.0.1:1"]);
        let error = within(ANSWER, member, builder.connect()).await.unwrap_err();
        let is_about_it = matches!(error, LockError::InvalidUrl { .. } | LockError::InvalidOption { .. });
        assert!(is_about_it, "{member}: {error:?}");
    }
}

#[tokio::test]
async fn a_member_that_comes_later_joins() {
    let mut group = RedlockGroup::start(3);
    group.members[0].kill();
    let manager = LockManager::builder()
        .url(group.url())
        .default_ttl(SOON)
        .connect()
        .await
        .unwrap();
    works_again(&manager, "job").await.release().await.unwrap();
    group.members[0].restart();
    group.members[1].kill();
    let guard = works_again(&manager, "job").await;
    guard.release().await.unwrap();
}
