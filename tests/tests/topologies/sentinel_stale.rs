//! `redis+sentinel://`: a master that was replaced and does not know it is not written to.

use lock_tests::replication::role;
use lock_tests::{SentinelGroup, eventually};

use crate::support::{LATE, conflicts_again, locks, manager, two_managers, until_renewed, watched, works, works_again};

#[tokio::test]
async fn a_stale_master_that_comes_back_is_not_written_to() {
    let mut group = SentinelGroup::start();
    let manager = manager(&group.url(), "one").await;
    works(&manager, "before").await;
    assert_eq!(group.fail_over(), 1);
    group.restart_as_stale_master(0);
    for number in 0..5 {
        let guard = works_again(&manager, &format!("job:{number}")).await;
        assert!(locks(&group.servers[0]).is_empty());
        assert_eq!(locks(&group.servers[1]).len(), 1);
        guard.release().await.unwrap();
    }
    assert_eq!(role(&group.servers[0]), "master", "the test has looked too late");
    assert!(group.servers[0].keys().is_empty(), "{:?}", group.servers[0].keys());
}

#[tokio::test]
async fn a_stale_master_that_wakes_is_not_written_to_by_a_holder() {
    let group = SentinelGroup::start();
    let [one, two] = two_managers(&group.url()).await;
    let guard = watched(&one, "job").await;
    eventually("the replica has the lock", LATE, async || {
        group.servers[1].exists("lock:job")
    })
    .await;
    group.servers[0].pause();
    assert_eq!(group.until_another_master_than(0), 1);
    until_renewed(guard.lease()).await;
    drop(works_again(&two, "another").await);
    group.servers[0].resume();
    // Both have left it; now it would take whatever it is sent.
    for manager in [&one, &two] {
        let guard = works_again(manager, "after").await;
        assert!(!group.servers[0].exists("lock:after"));
        guard.release().await.unwrap();
    }
    conflicts_again(&two, "job").await;
}

#[tokio::test]
async fn a_manager_that_slept_through_the_switch_notices_it() {
    let group = SentinelGroup::start();
    let manager = manager(&group.url(), "one").await;
    works(&manager, "before").await;
    group.servers[0].pause();
    assert_eq!(group.until_another_master_than(0), 1);
    // Its connection to the old master was never used meanwhile, and is as good as before.
    group.servers[0].resume();
    eventually("locks are on the new master", LATE, async || {
        let guard = works_again(&manager, "job").await;
        let right = group.servers[1].exists("lock:job");
        // Where it is wrong, it may be gone with the old master's data.
        drop(guard.release().await);
        right
    })
    .await;
    for number in 0..5 {
        let key = format!("job:{number}");
        let guard = works_again(&manager, &key).await;
        assert!(!group.servers[0].exists(&format!("lock:{key}")));
        assert!(group.servers[1].exists(&format!("lock:{key}")));
        guard.release().await.unwrap();
    }
}

#[tokio::test]
async fn a_demoted_master_is_left_when_it_says_readonly() {
    let group = SentinelGroup::start();
    let [one, two] = two_managers(&group.url()).await;
    let guard = watched(&one, "job").await;
    eventually("the replica has the lock", LATE, async || {
        group.servers[1].exists("lock:job")
    })
    .await;
    // A failover in good order: the connections to the old master stay open.
    eventually("the sentinel begins a failover", LATE, async || {
        group.sentinels[0]
            .try_cli(&["SENTINEL", "FAILOVER", "mymaster"])
            .is_ok()
    })
    .await;
    assert_eq!(group.until_another_master_than(0), 1);
    group.until_demoted(0);
    until_renewed(guard.lease()).await;
    drop(works_again(&two, "another").await);
    conflicts_again(&two, "job").await;
}
