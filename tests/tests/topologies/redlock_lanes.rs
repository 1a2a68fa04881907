//! `redlock://` over connections on the callers' own runtimes: what is late on a member, and who gives up.

use std::time::Duration;

use lock_runtime::LockManager;
use lock_tests::{RedisServer, RedlockGroup, eventually, eventually_blocking};
use tokio::runtime::Builder;

use crate::support::{LATE, LONG, SOON, conflicts, manager, until_no_lock_is_left, within};

/// A manager whose calls on this runtime go over lanes to all members.
pub(crate) async fn with_lanes(group: &RedlockGroup) -> LockManager {
    let manager = manager(&group.url(), "one").await;
    eventually("calls go over lanes", LATE, async || {
        manager.lock("warm-up").run(async {}).await.unwrap();
        group.members.iter().all(|member| asked_over(member) > 1)
    })
    .await;
    manager
}

/// On how many connections the last command was one of our scripts.
fn asked_over(member: &RedisServer) -> usize {
    let clients = member.cli(&["CLIENT", "LIST"]);
    clients.lines().filter(|client| client.contains("cmd=eval")).count()
}

#[tokio::test]
async fn a_lock_that_is_taken_over_lanes_is_taken_on_every_member() {
    let group = RedlockGroup::start(5);
    let manager = with_lanes(&group).await;
    let guard = manager.lock("job").ttl(LONG).acquire().await.unwrap();
    eventually("every member has it", LATE, async || {
        group.with_key("lock:job").len() == 5
    })
    .await;
    conflicts(&manager, "job").await;
    let fence = guard.fence();
    guard.release().await.unwrap();
    until_no_lock_is_left(&group.members).await;
    let next = manager.lock("job").acquire().await.unwrap();
    assert!(next.fence() > fence);
}

#[tokio::test]
async fn a_conflict_over_lanes_leaves_the_holder_its_lock() {
    let group = RedlockGroup::start(3);
    let one = with_lanes(&group).await;
    let two = with_lanes(&group).await;
    let guard = two.lock("job").ttl(LONG).acquire().await.unwrap();
    for _ in 0..20 {
        conflicts(&one, "job").await;
    }
    guard.lease().ensure_held().unwrap();
    guard.release().await.unwrap();
    one.shutdown(LATE).await;
    two.shutdown(LATE).await;
    until_no_lock_is_left(&group.members).await;
}

#[tokio::test]
async fn a_member_that_hangs_does_not_delay_calls_over_lanes_and_has_no_key_in_the_end() {
    let group = RedlockGroup::start(5);
    let manager = with_lanes(&group).await;
    group.members[1].pause();
    for number in 0..100 {
        let guard = within(
            SOON,
            "acquire",
            manager.lock(format!("job:{number}")).ttl(LONG).acquire(),
        )
        .await;
        within(SOON, "release", guard.unwrap().release()).await.unwrap();
    }
    group.members[1].resume();
    until_no_lock_is_left(&group.members).await;
    manager.shutdown(LATE).await;
    until_no_lock_is_left(&group.members).await;
}

#[tokio::test]
async fn calls_go_over_the_lanes_that_there_are_while_a_member_is_out_of_reach() {
    let group = RedlockGroup::behind_proxies(3);
    let manager = with_lanes(&group).await;
    group.proxy(1).refuse(true);
    group.proxy(1).cut();
    for number in 0..100 {
        let guard = within(
            SOON,
            "acquire",
            manager.lock(format!("job:{number}")).ttl(LONG).acquire(),
        )
        .await;
        within(SOON, "release", guard.unwrap().release()).await.unwrap();
    }
    group.proxy(1).refuse(false);
    // Renewed often, so that it is noticed soon who does not have the key.
    let often = Duration::from_millis(100);
    let request = manager.lock("another").ttl(LONG).renew_every(often);
    let guard = request.acquire().await.unwrap();
    eventually("every member has it", LATE, async || {
        group.with_key("lock:another").len() == 3
    })
    .await;
    guard.release().await.unwrap();
    until_no_lock_is_left(&group.members).await;
}

#[tokio::test]
async fn a_release_over_lanes_goes_behind_its_acquire_on_every_member() {
    let group = RedlockGroup::behind_proxies(5);
    let manager = with_lanes(&group).await;
    for member in [1, 3] {
        group.proxy(member).delay(Duration::from_millis(30));
    }
    let all = (0..100).map(|number| {
        let manager = manager.clone();
        tokio::spawn(async move {
            let request = manager.lock(format!("job:{number}")).ttl(LONG);
            request.acquire().await.unwrap().release().await.unwrap();
        })
    });
    for one in all.collect::<Vec<_>>() {
        within(SOON, "acquire and release", one).await.unwrap();
    }
    manager.shutdown(LATE).await;
    until_no_lock_is_left(&group.members).await;
}

#[tokio::test]
async fn a_request_over_a_lane_that_arrives_after_the_release_leaves_no_key() {
    let group = RedlockGroup::behind_proxies(3);
    let manager = with_lanes(&group).await;
    group.proxy(1).freeze();
    let guard = manager.lock("job").ttl(LONG).acquire().await.unwrap();
    let sent = async || group.proxy(1).requests_with("lock:job") > 0;
    eventually("the third member's request is under way", LATE, sent).await;
    within(SOON, "release", guard.release()).await.unwrap();
    group.proxy(1).thaw();
    until_no_lock_is_left(&group.members).await;
    manager.shutdown(LATE).await;
    until_no_lock_is_left(&group.members).await;
}

#[tokio::test]
async fn a_lane_that_breaks_between_acquire_and_release_leaves_no_key() {
    let group = RedlockGroup::behind_proxies(3);
    let manager = with_lanes(&group).await;
    // The request arrives, and its answer never does.
    group.proxy(1).lose_reply_to("lock:job");
    let guard = manager.lock("job").ttl(LONG).acquire().await.unwrap();
    within(SOON, "release", guard.release()).await.unwrap();
    until_no_lock_is_left(&group.members).await;
    let guard = within(SOON, "acquire", manager.lock("job").acquire()).await.unwrap();
    within(SOON, "release", guard.release()).await.unwrap();
    until_no_lock_is_left(&group.members).await;
}

#[tokio::test]
async fn a_majority_that_hangs_behind_its_lanes_is_no_lock_and_leaves_no_key() {
    let group = RedlockGroup::start(3);
    let manager = with_lanes(&group).await;
    for member in [0, 2] {
        group.members[member].pause();
    }
    let error = within(
        Duration::from_secs(5),
        "the answer",
        manager.lock("job").ttl(LONG).try_acquire(),
    )
    .await;
    assert!(error.unwrap_err().is_unavailable());
    for member in [0, 2] {
        group.members[member].resume();
    }
    until_no_lock_is_left(&group.members).await;
    eventually("it works again", LATE, async || {
        manager.lock("job").run(async {}).await.is_ok()
    })
    .await;
    until_no_lock_is_left(&group.members).await;
}

#[tokio::test]
async fn an_acquire_over_lanes_that_is_dropped_halfway_leaves_no_keys() {
    let group = RedlockGroup::behind_proxies(3);
    let manager = with_lanes(&group).await;
    group.proxy(1).freeze();
    group.proxy(2).freeze();
    let acquiring = tokio::spawn(manager.lock("job").ttl(LONG).acquire());
    eventually("one member has granted it", LATE, async || {
        group.members[0].exists("lock:job")
    })
    .await;
    acquiring.abort();
    assert!(acquiring.await.unwrap_err().is_cancelled());
    group.proxy(1).thaw();
    group.proxy(2).thaw();
    manager.shutdown(LATE).await;
    until_no_lock_is_left(&group.members).await;
}

#[test]
fn a_runtime_that_ends_while_members_are_late_leaves_no_key() {
    let group = RedlockGroup::behind_proxies(5);
    for ends_before_the_release in [true, false] {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let manager = runtime.block_on(with_lanes(&group));
        for member in [1, 3] {
            group.proxy(member).freeze();
        }
        let guard = runtime.block_on(manager.lock("job").ttl(LONG).acquire()).unwrap();
        if ends_before_the_release {
            drop(runtime);
            drop(guard);
        } else {
            runtime.block_on(guard.release()).unwrap();
            drop(runtime);
        }
        for member in [1, 3] {
            group.proxy(member).thaw();
        }
        eventually_blocking("no lock is left", LATE, || group.with_key("lock:job").is_empty());
        let another = Builder::new_current_thread().enable_all().build().unwrap();
        another.block_on(manager.shutdown(LATE));
        assert!(group.with_key("lock:job").is_empty());
    }
}
