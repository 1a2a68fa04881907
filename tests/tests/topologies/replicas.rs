//! `min_replicas`: a lease counts only when so many replicas have confirmed it.

use std::time::{Duration, Instant};

use lock_runtime::{LockError, LockManager};
use lock_tests::{RedisServer, RedlockGroup, Replication, SentinelGroup, eventually};

use crate::support::{
    ANSWER, LONG, SOON, conflicts, locks, unavailable, until_no_lock_is_left, until_renewed, watched, within, works,
    works_again,
};

/// A manager whose leases need so many replicas.
async fn needing(replicas: usize, url: &str) -> LockManager {
    let builder = LockManager::builder().url(url).default_ttl(LONG).min_replicas(replicas);
    within(ANSWER, "connect", builder.connect()).await.unwrap()
}

#[tokio::test]
async fn a_lease_is_on_the_replicas_when_it_is_given_out() {
    let replication = Replication::start(2);
    let manager = needing(2, &replication.master.url()).await;
    for number in 0..5 {
        let key = format!("job:{number}");
        let guard = manager.lock(key.as_str()).acquire().await.unwrap();
        for replica in &replication.replicas {
            assert!(replica.exists(&format!("lock:{key}")), "{key}");
        }
        guard.release().await.unwrap();
    }
}

#[tokio::test]
async fn a_lease_that_too_few_confirm_is_undone_and_unavailable() {
    let replication = Replication::start(1);
    let manager = needing(1, &replication.master.url()).await;
    works(&manager, "job").await;
    replication.replicas[0].pause();
    let error = unavailable(&manager, "job").await;
    assert!(error.to_string().contains("replica"), "{error}");
    until_no_lock_is_left(std::slice::from_ref(&replication.master)).await;
}

#[tokio::test]
async fn a_master_without_replicas_gives_nothing() {
    let server = RedisServer::start();
    let builder = LockManager::builder().url(server.url()).min_replicas(1);
    let error = match within(ANSWER, "connect", builder.connect()).await {
        Ok(manager) => unavailable(&manager, "job").await,
        Err(error) => error,
    };
    assert!(error.is_unavailable(), "{error:?}");
    assert!(error.to_string().contains("replica"), "{error}");
    assert!(locks(&server).is_empty());
}

#[tokio::test]
async fn some_of_the_replicas_may_hang_as_long_as_enough_confirm() {
    let replication = Replication::start(2);
    let one = needing(1, &replication.master.url()).await;
    let two = needing(2, &replication.master.url()).await;
    replication.replicas[0].pause();
    works(&one, "job").await;
    unavailable(&two, "job").await;
    works(&one, "job").await;
    replication.replicas[0].resume();
    drop(works_again(&two, "job").await);
}

#[tokio::test]
async fn a_lock_that_somebody_holds_is_a_conflict_though_the_replica_hangs() {
    let replication = Replication::start(1);
    let one = needing(1, &replication.master.url()).await;
    let two = needing(1, &replication.master.url()).await;
    let _guard = one.lock("job").acquire().await.unwrap();
    replication.replicas[0].pause();
    conflicts(&two, "job").await;
}

#[tokio::test]
async fn a_lease_is_renewed_and_released_though_the_replica_hangs() {
    let replication = Replication::start(1);
    let manager = needing(1, &replication.master.url()).await;
    let guard = watched(&manager, "job").await;
    replication.replicas[0].pause();
    until_renewed(guard.lease()).await;
    within(SOON, "release", guard.release()).await.unwrap();
    assert!(locks(&replication.master).is_empty());
}

#[tokio::test]
async fn those_who_wait_for_a_replica_do_not_hold_up_the_others() {
    let replication = Replication::start(1);
    let manager = needing(1, &replication.master.url()).await;
    let guard = watched(&manager, "held").await;
    replication.replicas[0].pause();
    let acquiring = tokio::spawn(manager.lock("job").wait(Duration::from_secs(3)).acquire());
    eventually("the lock waits for its replica", SOON, async || {
        replication.master.exists("lock:job")
    })
    .await;
    let half = Duration::from_millis(500);
    within(half, "a question", manager.inspect("held")).await.unwrap();
    within(half, "a release", guard.release()).await.unwrap();
    assert!(acquiring.await.unwrap().unwrap_err().is_unavailable());
}

#[tokio::test]
async fn those_who_wait_for_a_replica_do_not_wait_for_each_other() {
    let replication = Replication::start(1);
    let manager = needing(1, &replication.master.url()).await;
    works(&manager, "warm-up").await;
    replication.replicas[0].pause();
    let began = Instant::now();
    let acquiring: Vec<_> = (0..8)
        .map(|number| tokio::spawn(manager.lock(format!("job:{number}")).try_acquire()))
        .collect();
    for acquired in acquiring {
        assert!(acquired.await.unwrap().unwrap_err().is_unavailable());
    }
    // Each has half a second for its replica.
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    until_no_lock_is_left(std::slice::from_ref(&replication.master)).await;
}

#[tokio::test]
async fn acquires_one_after_the_other_use_one_connection_to_wait_for_replicas() {
    let replication = Replication::start(1);
    let manager = needing(1, &replication.master.url()).await;
    works(&manager, "warm-up").await;
    let connections = || {
        let stats = replication.master.cli(&["INFO", "stats"]);
        let count = stats
            .lines()
            .find_map(|line| line.strip_prefix("total_connections_received:"));
        count.unwrap().trim().parse::<u64>().unwrap()
    };
    let before = connections();
    for number in 0..20 {
        works(&manager, &format!("job:{number}")).await;
    }
    // The question for the number is a connection, too.
    let made = connections() - before;
    assert!(made <= 2, "{made} connections");
}

#[tokio::test]
async fn a_dropped_attempt_that_waits_for_its_replica_is_undone() {
    let replication = Replication::start(1);
    let manager = needing(1, &replication.master.url()).await;
    works(&manager, "warm-up").await;
    replication.replicas[0].pause();
    let acquiring = tokio::spawn(manager.lock("job").acquire());
    eventually("the lock waits for its replica", SOON, async || {
        replication.master.exists("lock:job")
    })
    .await;
    acquiring.abort();
    assert!(acquiring.await.unwrap_err().is_cancelled());
    until_no_lock_is_left(std::slice::from_ref(&replication.master)).await;
}

#[tokio::test]
async fn a_confirmed_lease_outlives_a_failover() {
    let mut group = SentinelGroup::start();
    let manager = needing(1, &group.url()).await;
    let guard = watched(&manager, "job").await;
    assert_eq!(group.fail_over(), 1);
    until_renewed(guard.lease()).await;
    // There is no second replica.
    unavailable(&manager, "another").await;
    group.restart_as_replica(0);
    drop(works_again(&manager, "another").await);
}

#[tokio::test]
async fn what_has_no_replicas_refuses_the_option() {
    let group = RedlockGroup::start(3);
    for url in ["memory://".to_owned(), group.url()] {
        let builder = LockManager::builder().url(&url).min_replicas(1);
        let error = within(ANSWER, "connect", builder.connect()).await.unwrap_err();
        let is_about_it = matches!(&error, LockError::InvalidOption { option, .. } if *option == "min_replicas");
        assert!(is_about_it, "{url}: {error:?}");
    }
}
