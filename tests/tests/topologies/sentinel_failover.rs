//! `redis+sentinel://`: what a failover does to locks.

use std::time::Duration;

use lock_runtime::LostReason;
use lock_tests::sentinel_group::SentinelSetup;
use lock_tests::{SentinelGroup, eventually};

use crate::support::{
    ANSWER, LATE, LONG, conflicts_again, is_lost, locks, manager, two_managers, unavailable, until_renewed,
    until_subscribed, waiting, watched, within, works, works_again,
};

/// The lock has reached the replica.
async fn until_replicated(group: &SentinelGroup, replica: usize) {
    eventually("the replica has the lock", LATE, async || {
        group.servers[replica].exists("lock:job")
    })
    .await;
}

#[tokio::test]
async fn a_replicated_lease_outlives_the_death_of_the_master() {
    let mut group = SentinelGroup::start();
    let [one, two] = two_managers(&group.url()).await;
    let guard = watched(&one, "job").await;
    until_replicated(&group, 1).await;
    assert_eq!(group.fail_over(), 1);
    until_renewed(guard.lease()).await;
    conflicts_again(&two, "job").await;
    within(ANSWER, "release", guard.release()).await.unwrap();
    works(&two, "job").await;
}

#[tokio::test]
async fn a_replicated_lease_outlives_a_master_that_hangs() {
    let group = SentinelGroup::start();
    let [one, two] = two_managers(&group.url()).await;
    let guard = watched(&one, "job").await;
    until_replicated(&group, 1).await;
    group.servers[0].pause();
    assert_eq!(group.until_another_master_than(0), 1);
    until_renewed(guard.lease()).await;
    drop(works_again(&two, "another").await);
    conflicts_again(&two, "job").await;
    group.servers[0].resume();
    until_renewed(guard.lease()).await;
}

#[tokio::test]
async fn three_sentinels_and_two_replicas_are_followed_too() {
    let mut group = SentinelGroup::start_with(SentinelSetup {
        replicas: Some(2),
        sentinels: Some(3),
        ..SentinelSetup::default()
    });
    let [one, two] = two_managers(&group.url()).await;
    let guard = watched(&one, "job").await;
    until_replicated(&group, 1).await;
    until_replicated(&group, 2).await;
    let new = group.fail_over();
    until_renewed(guard.lease()).await;
    assert!(group.servers[new].exists("lock:job"));
    conflicts_again(&two, "job").await;
}

#[tokio::test]
async fn a_lease_that_the_new_master_does_not_know_is_missing_and_stays_so() {
    let mut group = SentinelGroup::start();
    let [one, two] = two_managers(&group.url()).await;
    group.cut_off(1);
    let guard = watched(&one, "job").await;
    assert_eq!(group.fail_over(), 1);
    assert_eq!(is_lost(&guard, LATE).await, LostReason::Missing);
    assert!(locks(&group.servers[1]).is_empty(), "it was created again");
    let next = works_again(&two, "job").await;
    assert!(next.fence() > guard.fence());
    drop(guard);
    one.shutdown(ANSWER).await;
    next.lease().ensure_held().unwrap();
    assert_eq!(locks(&group.servers[1]), ["lock:job"]);
}

#[tokio::test]
async fn a_lease_that_is_rarely_renewed_is_checked_after_a_failover_all_the_same() {
    let mut group = SentinelGroup::start();
    let one = manager(&group.url(), "one").await;
    group.cut_off(1);
    let hour = Duration::from_secs(3600);
    let rarely = one.lock("job").ttl(hour).acquire().await.unwrap();
    assert_eq!(group.fail_over(), 1);
    // Nothing else asks the new master: the switch itself is the reason to look.
    assert_eq!(is_lost(&rarely, LATE).await, LostReason::Missing);
}

#[tokio::test]
async fn while_there_is_no_master_it_is_unavailable_and_then_works_again() {
    let mut group = SentinelGroup::start();
    let manager = manager(&group.url(), "one").await;
    works(&manager, "job").await;
    // No sentinel, no new master.
    group.sentinels[0].pause();
    group.servers[0].kill();
    unavailable(&manager, "job").await;
    group.sentinels[0].resume();
    assert_eq!(group.until_another_master_than(0), 1);
    let guard = works_again(&manager, "job").await;
    assert_eq!(locks(&group.servers[1]), ["lock:job"]);
    within(ANSWER, "release", guard.release()).await.unwrap();
}

#[tokio::test]
async fn fences_grow_over_a_failover_to_a_replica_that_has_no_counter() {
    let mut group = SentinelGroup::start();
    let manager = manager(&group.url(), "one").await;
    group.cut_off(1);
    let guard = manager.lock("job").acquire().await.unwrap();
    let fence = guard.fence();
    guard.release().await.unwrap();
    assert_eq!(group.fail_over(), 1);
    let guard = works_again(&manager, "job").await;
    assert!(guard.fence() > fence, "{} after {fence}", guard.fence());
}

#[tokio::test]
async fn who_waits_is_woken_by_a_release_on_the_new_master() {
    let mut group = SentinelGroup::start();
    let [one, two] = two_managers(&group.url()).await;
    let guard = watched(&one, "job").await;
    let waiter = waiting(&two, "job");
    until_subscribed(&[&group.servers[0]], "job", 1).await;
    until_replicated(&group, 1).await;
    assert_eq!(group.fail_over(), 1);
    until_subscribed(&[&group.servers[1]], "job", 1).await;
    until_renewed(guard.lease()).await;
    guard.release().await.unwrap();
    drop(within(ANSWER, "the waiter", waiter).await.unwrap().unwrap());
}

#[tokio::test]
async fn a_release_that_fails_with_the_master_goes_on_on_the_new_one() {
    let mut group = SentinelGroup::start();
    let manager = manager(&group.url(), "one").await;
    let guard = manager.lock("job").ttl(LONG).acquire().await.unwrap();
    until_replicated(&group, 1).await;
    group.servers[0].kill();
    drop(guard);
    assert_eq!(group.until_another_master_than(0), 1);
    eventually("the lock is free", LATE, async || locks(&group.servers[1]).is_empty()).await;
}
