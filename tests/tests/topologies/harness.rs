//! The groups of servers do what the other tests take for granted.

use lock_tests::replication::role;
use lock_tests::sentinel_group::SentinelSetup;
use lock_tests::{ClusterGroup, RedlockGroup, Replication, SentinelGroup};

#[test]
fn the_members_of_a_redlock_group_know_nothing_of_each_other() {
    let group = RedlockGroup::start(3);
    group.members[1].cli(&["SET", "a", "b"]);
    assert_eq!(group.with_key("a"), [1]);
    assert_eq!(group.urls().len(), 3);
    assert_eq!(group.majority(), 2);
}

#[test]
fn replicas_have_what_their_master_has() {
    let replication = Replication::start(2);
    replication.master.cli(&["SET", "a", "b"]);
    replication.until_in_sync();
    for replica in &replication.replicas {
        assert_eq!(replica.get("a").as_deref(), Some("b"));
        assert_eq!(role(replica), "slave");
    }
}

#[test]
fn sentinels_promote_a_replica_and_a_stale_master_stays_until_they_look() {
    let mut group = SentinelGroup::start_with(SentinelSetup {
        replicas: Some(2),
        sentinels: Some(3),
        ..SentinelSetup::default()
    });
    assert_eq!(group.master(), 0);
    let new = group.fail_over();
    assert_ne!(new, 0);
    group.restart_as_stale_master(0);
    assert_eq!(role(&group.servers[0]), "master");
    assert_eq!(group.master(), new);
    group.until_demoted(0);
}

#[test]
fn a_slot_moves_with_its_keys_and_can_stand_in_between() {
    let cluster = ClusterGroup::start();
    let old = cluster.node_of("{a}1");
    let new = (old + 1) % 3;
    cluster.node(old).cli(&["SET", "{a}1", "b"]);
    cluster.node(old).cli(&["SET", "{a}2", "b"]);
    let migration = cluster.migrate(cluster.slot_of("{a}1"), new);
    migration.move_key("{a}1");
    let error = cluster.node(old).try_cli(&["GET", "{a}1"]).unwrap_err();
    assert!(error.to_lowercase().contains("ask"), "{error}");
    assert_eq!(migration.keys(), ["{a}2"]);
    let error = cluster.node(old).try_cli(&["MGET", "{a}1", "{a}2"]).unwrap_err();
    assert!(error.to_lowercase().contains("tryagain"), "{error}");
    migration.finish();
    assert_eq!(cluster.node_of("{a}1"), new);
    assert_eq!(cluster.node(new).get("{a}2").as_deref(), Some("b"));
}
