//! `redlock://`: a member that forgot its locks does not vote until none of them can be valid any
//! more.

use std::time::{Duration, Instant};

use lock_runtime::{LockGuard, LockManager};
use lock_tests::{RedlockGroup, eventually};

use crate::support::{ANSWER, LATE, LONG, is_not_given, two_managers, until_renewed, within, works, works_again};

/// The longest ttl that is ever asked for where a member is to come back.
const TTL: Duration = Duration::from_secs(2);
/// The same, where nobody looks at how long it takes.
const SHORT: Duration = Duration::from_secs(1);

async fn with_ttl(group: &RedlockGroup, ttl: Duration) -> LockManager {
    let builder = LockManager::builder().url(group.url()).default_ttl(ttl);
    let manager = builder.connect().await.unwrap();
    works(&manager, "warm-up").await;
    manager
}

/// The lock `job` is granted by the first two members only; then the first cannot be reached, the
/// second has forgotten it, and the third never knew: together a majority.
async fn forgotten(holder: &LockManager, group: &mut RedlockGroup) -> LockGuard {
    cut_off(group, 2);
    let guard = holder.lock("job").ttl(LONG).never_renew().acquire().await.unwrap();
    group.members[1].restart();
    cut_off(group, 0);
    group.proxy(2).refuse(false);
    guard
}

/// Nobody reaches this member any more.
fn cut_off(group: &RedlockGroup, member: usize) {
    group.proxy(member).refuse(true);
    group.proxy(member).cut();
}

#[tokio::test]
async fn a_restarted_member_does_not_help_to_give_a_held_lock_out_twice() {
    let mut group = RedlockGroup::behind_proxies(3);
    let [one, two] = two_managers(&group.url()).await;
    until_all_vote(&one, &group).await;
    works(&two, "warm-up").await;
    let guard = forgotten(&one, &mut group).await;
    is_not_given(&two, "job").await;
    guard.lease().ensure_held().unwrap();
}

#[tokio::test]
async fn a_manager_that_comes_new_does_not_let_a_restarted_member_vote_either() {
    let mut group = RedlockGroup::behind_proxies(3);
    let [one, _] = two_managers(&group.url()).await;
    until_all_vote(&one, &group).await;
    let guard = forgotten(&one, &mut group).await;
    let connecting = LockManager::connect(group.url());
    match within(ANSWER, "connect", connecting).await {
        Ok(newcomer) => is_not_given(&newcomer, "job").await,
        Err(error) => assert!(error.is_unavailable(), "{error:?}"),
    }
    guard.lease().ensure_held().unwrap();
}

#[tokio::test]
async fn a_member_that_came_back_with_an_old_snapshot_has_forgotten_too() {
    let mut group = RedlockGroup::behind_proxies(3);
    let [one, two] = two_managers(&group.url()).await;
    until_all_vote(&one, &group).await;
    works(&two, "warm-up").await;
    let snapshot = ["distributed-lock:voter", "distributed-lock:longest-ttl"];
    let snapshot = snapshot.map(|key| (key, group.members[1].get(key).unwrap()));
    let guard = forgotten(&one, &mut group).await;
    for (key, value) in &snapshot {
        group.members[1].cli(&["SET", key, value]);
    }
    // Whoever may not vote is asked again after a second.
    let asked_again = Instant::now() + Duration::from_millis(1_500);
    while Instant::now() < asked_again {
        is_not_given(&two, "job").await;
    }
    guard.lease().ensure_held().unwrap();
}

async fn until_all_vote(manager: &LockManager, group: &RedlockGroup) {
    eventually("all members have voted", LATE, async || {
        works(manager, "warm-up").await;
        group.with_key("distributed-lock:voter").len() == group.members.len()
    })
    .await;
}

#[tokio::test]
async fn one_that_forgot_and_one_that_was_never_there_are_no_majority() {
    let mut group = RedlockGroup::start(3);
    group.members[2].kill();
    // A new member waits for the default ttl where not enough others can be asked.
    let one = LockManager::builder().url(group.url()).default_ttl(SHORT);
    let one = within(ANSWER, "connect", one.connect()).await.unwrap();
    works_again(&one, "warm-up").await.release().await.unwrap();
    let guard = one.lock("job").ttl(LONG).never_renew().acquire().await.unwrap();
    // The one that remembers does not answer; the others look like a new group.
    group.members[0].pause();
    group.members[1].restart();
    group.members[2].restart();
    let newcomer = LockManager::builder().url(group.url()).default_ttl(LONG).connect();
    if let Ok(newcomer) = within(ANSWER, "connect", newcomer).await {
        is_not_given(&newcomer, "job").await;
        guard.lease().ensure_held().unwrap();
    }
}

#[tokio::test]
async fn a_restarted_member_votes_again_when_the_longest_ttl_is_over_and_not_before() {
    let mut group = RedlockGroup::start(3);
    let manager = with_ttl(&group, TTL).await;
    let restarted = Instant::now();
    group.members[1].restart();
    group.members[0].kill();
    let guard = works_again(&manager, "job").await;
    let age = restarted.elapsed();
    assert!(age >= TTL, "it voted after {age:?}, the longest ttl is {TTL:?}");
    guard.release().await.unwrap();
}

#[tokio::test]
async fn a_restarted_member_is_given_the_key_again_when_it_votes() {
    let mut group = RedlockGroup::start(3);
    let manager = with_ttl(&group, TTL).await;
    let guard = manager.lock("job").acquire().await.unwrap();
    let restarted = Instant::now();
    group.members[1].restart();
    eventually("the restarted member has the key", LATE, async || {
        guard.lease().ensure_held().unwrap();
        group.with_key("lock:job") == [0, 1, 2]
    })
    .await;
    let age = restarted.elapsed();
    assert!(age >= TTL, "it was given the key after {age:?} already");
    until_renewed(guard.lease()).await;
}

#[tokio::test]
async fn fences_grow_over_the_restart_of_every_member() {
    let mut group = RedlockGroup::start(3);
    let manager = with_ttl(&group, SHORT).await;
    let ahead = {
        let guard = works_again(&manager, "job").await;
        let ahead = guard.fence().get() + 3_600_000_000;
        guard.release().await.unwrap();
        ahead
    };
    group.members[0].cli(&["SET", "distributed-lock:fence", &ahead.to_string()]);
    group.members[2].pause();
    let guard = works_again(&manager, "job").await;
    let mut last = guard.fence();
    guard.release().await.unwrap();
    group.members[2].resume();
    for member in 0..3 {
        group.members[member].restart();
        // It votes again only when it knows the counter of the others.
        eventually(
            "the restarted member counts from where the others are",
            LATE,
            async || {
                works(&manager, "another").await;
                let counter = group.members[member].get("distributed-lock:fence");
                counter.is_some_and(|counter| counter.parse::<u64>().unwrap() > ahead)
            },
        )
        .await;
        let guard = works_again(&manager, "job").await;
        assert!(guard.fence() > last, "{} after {last}", guard.fence());
        last = guard.fence();
        guard.release().await.unwrap();
    }
}

#[tokio::test]
async fn a_new_group_works_at_once_although_all_its_members_are_young() {
    let group = RedlockGroup::start(5);
    let [one, two] = two_managers(&group.url()).await;
    works(&one, "job").await;
    works(&two, "job").await;
}
