//! `redis+cluster://`: locks while a master fails over.

use lock_tests::{ClusterGroup, eventually};

use crate::support::{
    ANSWER, LATE, conflicts, conflicts_again, is_not_given, two_managers, until_renewed, watched, within, works,
    works_again,
};

const LOCK: &str = "lock:job";

/// The replica of this node has the lock.
async fn until_replicated(cluster: &ClusterGroup, node: usize) {
    eventually("the replica has the lock", LATE, async || {
        cluster.node(node + 3).keys().iter().any(|key| key == LOCK)
    })
    .await;
}

#[tokio::test]
async fn a_replicated_lease_outlives_the_death_of_its_master() {
    let mut cluster = ClusterGroup::with_replicas();
    let [one, two] = two_managers(&cluster.url()).await;
    let slot = cluster.slot_of(LOCK);
    let old = cluster.master_of(slot);
    let guard = watched(&one, "job").await;
    until_replicated(&cluster, old).await;
    cluster.kill(old);
    is_not_given(&two, "job").await;
    let new = cluster.until_another_master_than(old, slot);
    until_renewed(guard.lease()).await;
    conflicts_again(&two, "job").await;
    let fence = guard.fence();
    within(ANSWER, "release", guard.release()).await.unwrap();
    let next = works_again(&two, "job").await;
    assert!(next.fence() > fence);
    assert!(cluster.node(new).exists(LOCK));
}

#[tokio::test]
async fn a_replicated_lease_outlives_a_master_that_hangs() {
    let mut cluster = ClusterGroup::with_replicas();
    let [one, two] = two_managers(&cluster.url()).await;
    let slot = cluster.slot_of(LOCK);
    let old = cluster.master_of(slot);
    let guard = watched(&one, "job").await;
    until_replicated(&cluster, old).await;
    cluster.pause(old);
    is_not_given(&two, "job").await;
    let _new = cluster.until_another_master_than(old, slot);
    until_renewed(guard.lease()).await;
    cluster.resume(old);
    until_renewed(guard.lease()).await;
    conflicts_again(&two, "job").await;
}

#[tokio::test]
async fn a_failover_in_good_order_disturbs_nobody() {
    let cluster = ClusterGroup::with_replicas();
    let [one, two] = two_managers(&cluster.url()).await;
    let old = cluster.node_of(LOCK);
    let guard = watched(&one, "job").await;
    until_replicated(&cluster, old).await;
    cluster.hand_over_to(old + 3);
    until_renewed(guard.lease()).await;
    conflicts_again(&two, "job").await;
    within(ANSWER, "release", guard.release()).await.unwrap();
    works(&two, "job").await;
}

#[tokio::test]
async fn the_locks_of_the_other_masters_are_renewed_meanwhile() {
    let mut cluster = ClusterGroup::with_replicas();
    let [one, two] = two_managers(&cluster.url()).await;
    let key = cluster.key_on(1, "lock:");
    let key = key.trim_start_matches("lock:").to_owned();
    let guard = watched(&one, &key).await;
    let slot = cluster.slot_of(&cluster.key_on(0, ""));
    cluster.kill(0);
    until_renewed(guard.lease()).await;
    conflicts(&two, &key).await;
    let _new = cluster.until_another_master_than(0, slot);
    until_renewed(guard.lease()).await;
}

#[tokio::test]
async fn the_nodes_that_the_url_names_may_all_be_gone() {
    let mut cluster = ClusterGroup::with_replicas();
    let url = format!("redis+cluster://127.0.0.1:{}", cluster.node(0).port());
    let [one, two] = two_managers(&url).await;
    let slot = cluster.slot_of(&cluster.key_on(0, ""));
    cluster.kill(0);
    let _new = cluster.until_another_master_than(0, slot);
    for number in 0..6 {
        let key = format!("job:{number}");
        let guard = works_again(&one, &key).await;
        conflicts_again(&two, &key).await;
        guard.release().await.unwrap();
    }
}
