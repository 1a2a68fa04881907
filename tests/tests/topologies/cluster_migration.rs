//! `redis+cluster://`: locks while their slot is on its way to another node.

use lock_runtime::LockManager;
use lock_tests::{ClusterGroup, Migration};

use crate::support::{
    ANSWER, SOON, conflicts, is_not_given, two_managers, until_no_lock_is_left, until_renewed, watched, within, works,
    works_again,
};

/// The lock of all these tests; `job` has no braces, so its slot is the whole key's.
const LOCK: &str = "lock:job";

/// The slot of the lock, opened for the move to the next node.
fn opened(cluster: &ClusterGroup) -> Migration<'_> {
    let slot = cluster.slot_of(LOCK);
    cluster.migrate(slot, (cluster.master_of(slot) + 1) % 3)
}

/// The helper keys of the slot.
fn counters(migration: &Migration<'_>) -> Vec<String> {
    let mut keys = migration.keys();
    keys.retain(|key| key != LOCK);
    assert!(!keys.is_empty(), "the counter is in another slot");
    keys
}

async fn fence_of_a_turn(manager: &LockManager) -> u64 {
    let guard = works_again(manager, "job").await;
    let fence = guard.fence().get();
    guard.release().await.unwrap();
    fence
}

#[tokio::test]
async fn a_held_lock_moves_step_by_step_there_and_back() {
    let cluster = ClusterGroup::start();
    let [one, two] = two_managers(&cluster.url()).await;
    let guard = watched(&one, "job").await;
    let home = cluster.node_of(LOCK);
    for to in [(home + 1) % 3, (home + 2) % 3, home] {
        let migration = cluster.migrate(cluster.slot_of(LOCK), to);
        until_renewed(guard.lease()).await;
        conflicts(&two, "job").await;
        migration.move_keys();
        until_renewed(guard.lease()).await;
        conflicts(&two, "job").await;
        migration.finish();
        until_renewed(guard.lease()).await;
        conflicts(&two, "job").await;
        assert!(cluster.node(to).exists(LOCK));
    }
    within(SOON, "release", guard.release()).await.unwrap();
    works(&two, "job").await;
}

#[tokio::test]
async fn a_lock_that_moved_before_its_counter_stays_held() {
    let cluster = ClusterGroup::start();
    let [one, two] = two_managers(&cluster.url()).await;
    let guard = watched(&one, "job").await;
    let migration = opened(&cluster);
    migration.move_key(LOCK);
    until_renewed(guard.lease()).await;
    is_not_given(&two, "job").await;
    until_renewed(guard.lease()).await;
    migration.finish();
    until_renewed(guard.lease()).await;
    conflicts(&two, "job").await;
}

#[tokio::test]
async fn a_counter_that_moved_before_its_lock_leaves_it_held() {
    let cluster = ClusterGroup::start();
    let [one, two] = two_managers(&cluster.url()).await;
    let guard = watched(&one, "job").await;
    let migration = opened(&cluster);
    for counter in counters(&migration) {
        migration.move_key(&counter);
    }
    until_renewed(guard.lease()).await;
    is_not_given(&two, "job").await;
    until_renewed(guard.lease()).await;
    migration.finish();
    until_renewed(guard.lease()).await;
    conflicts(&two, "job").await;
}

#[tokio::test]
async fn several_locks_of_a_slot_that_are_on_both_sides_are_all_renewed() {
    let cluster = ClusterGroup::start();
    let url = cluster.url();
    let manager = LockManager::builder().url(url).namespace("").connect().await.unwrap();
    let names = ["{job}a", "{job}b", "{job}c"];
    let mut guards = Vec::new();
    for name in names {
        guards.push(watched(&manager, name).await);
    }
    let slot = cluster.slot_of(names[0]);
    let migration = cluster.migrate(slot, (cluster.master_of(slot) + 1) % 3);
    for name in names {
        migration.move_key(name);
        for guard in &guards {
            until_renewed(guard.lease()).await;
        }
    }
    migration.finish();
    for guard in &guards {
        until_renewed(guard.lease()).await;
    }
    for guard in guards {
        within(SOON, "release", guard.release()).await.unwrap();
    }
    until_no_lock_is_left(cluster.nodes()).await;
}

#[tokio::test]
async fn a_release_finds_the_lock_while_its_slot_moves() {
    let cluster = ClusterGroup::start();
    let [one, two] = two_managers(&cluster.url()).await;
    let guard = watched(&one, "job").await;
    let migration = opened(&cluster);
    migration.move_key(LOCK);
    within(ANSWER, "release", guard.release()).await.unwrap();
    migration.finish();
    until_no_lock_is_left(cluster.nodes()).await;
    drop(works_again(&two, "job").await);
}

#[tokio::test]
async fn fences_grow_while_the_slot_goes_round() {
    let cluster = ClusterGroup::start();
    let [one, two] = two_managers(&cluster.url()).await;
    let slot = cluster.slot_of(LOCK);
    let mut last = fence_of_a_turn(&one).await;
    for _ in 0..3 {
        // Far ahead of all clocks; so only the counter decides.
        let counter = cluster.node(cluster.master_of(slot));
        for key in counter
            .keys()
            .iter()
            .filter(|key| key.starts_with("distributed-lock:fence"))
        {
            counter.cli(&["SET", key, &(last + 3_600_000_000).to_string()]);
            last += 3_600_000_000;
        }
        cluster.move_slot(slot, (cluster.master_of(slot) + 1) % 3);
        for manager in [&one, &two] {
            let fence = fence_of_a_turn(manager).await;
            assert!(fence > last, "{fence} after {last}");
            last = fence;
        }
    }
}

#[tokio::test]
async fn a_manager_that_slept_through_the_move_is_sent_on() {
    let cluster = ClusterGroup::start();
    let [one, two] = two_managers(&cluster.url()).await;
    works(&one, "job").await;
    let slot = cluster.slot_of(LOCK);
    cluster.move_slot(slot, (cluster.master_of(slot) + 1) % 3);
    works(&one, "job").await;
    cluster.move_slot(slot, (cluster.master_of(slot) + 1) % 3);
    let _guard = works_again(&two, "job").await;
    conflicts(&one, "job").await;
}

#[tokio::test]
async fn nobody_gets_a_lock_twice_while_its_slot_moves_to_and_fro() {
    let cluster = ClusterGroup::start();
    let [one, two] = two_managers(&cluster.url()).await;
    let slot = cluster.slot_of(LOCK);
    let home = cluster.master_of(slot);
    let guard = watched(&one, "job").await;
    for round in 0..4 {
        let to = if round % 2 == 0 { (home + 1) % 3 } else { home };
        let migration = cluster.migrate(slot, to);
        is_not_given(&two, "job").await;
        migration.move_keys();
        is_not_given(&two, "job").await;
        migration.finish();
        is_not_given(&two, "job").await;
        guard.lease().ensure_held().unwrap();
    }
    until_renewed(guard.lease()).await;
}

#[tokio::test]
async fn a_free_lock_can_be_had_again_when_its_slot_has_moved() {
    let cluster = ClusterGroup::start();
    let [one, two] = two_managers(&cluster.url()).await;
    works(&one, "job").await;
    let migration = opened(&cluster);
    migration.move_keys();
    // In between it may be refused (a script's keys are on both sides), for a few seconds at most.
    if let Ok(Some(guard)) = within(ANSWER, "in between", one.lock("job").try_acquire()).await {
        is_not_given(&two, "job").await;
        guard.release().await.unwrap();
    }
    migration.finish();
    for manager in [&one, &two] {
        works_again(manager, "job").await.release().await.unwrap();
    }
}
