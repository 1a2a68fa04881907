//! `redlock://`: what a majority of independent servers gives out, and what it refuses.

use std::time::Duration;

use lock_runtime::{LockError, LockManager};
use lock_tests::{RedlockGroup, eventually};

use crate::support::{
    ANSWER, LATE, LONG, SOON, conflicts, full, locks, manager, two_managers, unavailable, until_no_lock_is_left,
    until_subscribed, waiting, within, works,
};

#[tokio::test]
async fn a_lock_is_on_every_member_with_its_ttl_and_its_owner() {
    let group = RedlockGroup::start(3);
    let manager = manager(&group.url(), "api-1").await;
    let guard = manager.lock("job").acquire().await.unwrap();
    eventually("all members have the key", LATE, async || {
        group.with_key(&full("job")).len() == 3
    })
    .await;
    let values: Vec<_> = group.members.iter().map(|member| member.get("lock:job")).collect();
    assert!(values.iter().all(|value| *value == values[0]), "{values:?}");
    let (token, owner) = values[0].as_deref().unwrap().split_once(' ').unwrap();
    assert_eq!((token.len(), owner), (36, "api-1"));
    for member in &group.members {
        assert!(member.ttl("lock:job").is_some_and(|ttl| ttl <= LONG));
    }
    drop(guard);
}

#[tokio::test]
async fn a_release_frees_the_lock_on_every_member() {
    let group = RedlockGroup::start(3);
    let manager = manager(&group.url(), "one").await;
    let guard = manager.lock("job").acquire().await.unwrap();
    within(SOON, "release", guard.release()).await.unwrap();
    until_no_lock_is_left(&group.members).await;
}

#[tokio::test]
async fn two_managers_exclude_each_other() {
    let group = RedlockGroup::start(3);
    let [one, two] = two_managers(&group.url()).await;
    let guard = one.lock("job").acquire().await.unwrap();
    conflicts(&two, "job").await;
    guard.release().await.unwrap();
    works(&two, "job").await;
}

#[tokio::test]
async fn the_builder_s_form_takes_urls_of_any_kind_of_server() {
    let group = RedlockGroup::start(3);
    let mut urls = group.urls();
    urls[1] = group.members[1].unix_url();
    let one = LockManager::builder().redlock(urls).connect().await.unwrap();
    let two = manager(&group.url(), "two").await;
    let _guard = one.lock("job").acquire().await.unwrap();
    conflicts(&two, "job").await;
}

#[tokio::test]
async fn the_url_names_the_database_of_all_members() {
    let group = RedlockGroup::start(3);
    let manager = manager(&format!("{}/2", group.url()), "one").await;
    let _guard = manager.lock("job").acquire().await.unwrap();
    assert!(group.members.iter().all(|member| locks(member).is_empty()));
}

#[tokio::test]
async fn with_a_minority_dead_locks_come_and_go_quickly() {
    let mut group = RedlockGroup::start(5);
    let [one, two] = two_managers(&group.url()).await;
    group.members[1].kill();
    group.members[3].kill();
    for round in 0..5 {
        works(&one, &format!("job:{round}")).await;
    }
    let _guard = one.lock("job").acquire().await.unwrap();
    conflicts(&two, "job").await;
}

#[tokio::test]
async fn with_a_minority_hung_locks_come_and_go_quickly() {
    let group = RedlockGroup::start(5);
    let [one, two] = two_managers(&group.url()).await;
    group.members[0].pause();
    group.members[4].pause();
    for round in 0..5 {
        works(&one, &format!("job:{round}")).await;
    }
    let _guard = one.lock("job").acquire().await.unwrap();
    conflicts(&two, "job").await;
}

#[tokio::test]
async fn servers_that_hang_cost_a_short_lease_a_tenth_of_its_ttl() {
    let group = RedlockGroup::behind_proxies(3);
    let manager = manager(&group.url(), "one").await;
    works(&manager, "warm-up").await;
    group.proxy(1).freeze();
    group.proxy(2).freeze();
    let request = manager.lock("job").ttl(Duration::from_millis(500)).wait(ANSWER);
    assert!(request.acquire().await.unwrap_err().is_unavailable());
    // An attempt and its taking back for each. With a second for each there would be time for five.
    let requests = group.proxy(0).requests_with("lock:job");
    assert!(requests > 12, "{requests} requests");
}

#[tokio::test]
async fn without_a_living_majority_it_is_unavailable() {
    let mut group = RedlockGroup::start(3);
    let manager = manager(&group.url(), "one").await;
    group.members[0].kill();
    group.members[1].kill();
    unavailable(&manager, "job").await;
}

#[tokio::test]
async fn without_an_answering_majority_it_is_unavailable() {
    let group = RedlockGroup::start(3);
    let manager = manager(&group.url(), "one").await;
    group.members[0].pause();
    group.members[1].pause();
    unavailable(&manager, "job").await;
    let wait = Duration::from_secs(1);
    let waiting = manager.lock("another").wait(wait).acquire();
    let error = within(wait + Duration::from_secs(1), "a short wait", waiting)
        .await
        .unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");
}

#[tokio::test]
async fn what_a_minority_says_is_no_conflict() {
    let mut group = RedlockGroup::start(5);
    let [one, two] = two_managers(&group.url()).await;
    let _guard = one.lock("job").acquire().await.unwrap();
    for member in 0..3 {
        group.members[member].kill();
    }
    unavailable(&two, "job").await;
}

#[tokio::test]
async fn a_refused_attempt_leaves_no_keys() {
    let group = RedlockGroup::start(3);
    let manager = manager(&group.url(), "one").await;
    for member in 0..2 {
        group.members[member].cli(&["SET", "lock:job", "somebody", "PX", "600000"]);
    }
    conflicts(&manager, "job").await;
    eventually("the third member was freed", LATE, async || {
        group.with_key("lock:job") == [0, 1]
    })
    .await;
    assert_eq!(group.members[0].get("lock:job").as_deref(), Some("somebody"));
}

#[tokio::test]
async fn a_failed_attempt_leaves_no_keys() {
    let group = RedlockGroup::start(3);
    let manager = manager(&group.url(), "one").await;
    for member in 0..2 {
        group.members[member].cli(&["CONFIG", "SET", "maxmemory", "1"]);
    }
    unavailable(&manager, "job").await;
    until_no_lock_is_left(&group.members).await;
}

#[tokio::test]
async fn a_foreign_key_on_a_minority_does_not_stand_in_the_way() {
    let group = RedlockGroup::start(3);
    let manager = manager(&group.url(), "one").await;
    group.members[2].cli(&["SET", "lock:job", "somebody", "PX", "600000"]);
    let guard = manager.lock("job").acquire().await.unwrap();
    guard.release().await.unwrap();
    eventually("only the foreign key is left", LATE, async || {
        group.with_key("lock:job") == [2]
    })
    .await;
    assert_eq!(group.members[2].get("lock:job").as_deref(), Some("somebody"));
}

#[tokio::test]
async fn a_key_of_another_type_on_a_majority_is_an_error_of_its_own() {
    let group = RedlockGroup::start(3);
    let manager = manager(&group.url(), "one").await;
    for member in 0..2 {
        group.members[member].cli(&["RPUSH", "lock:job", "a"]);
    }
    let error = manager.lock("job").try_acquire().await.unwrap_err();
    assert!(matches!(error, LockError::WrongType { .. }), "{error:?}");
    assert_eq!(group.members[0].cli(&["LRANGE", "lock:job", "0", "-1"]), "a");
}

#[tokio::test]
async fn a_release_wakes_who_waits() {
    let group = RedlockGroup::start(3);
    let [one, two] = two_managers(&group.url()).await;
    let guard = one.lock("job").acquire().await.unwrap();
    let waiter = waiting(&two, "job");
    let members: Vec<_> = group.members.iter().collect();
    until_subscribed(&members, "job", 2).await;
    guard.release().await.unwrap();
    drop(within(ANSWER, "the waiter", waiter).await.unwrap().unwrap());
}

#[tokio::test]
async fn a_release_wakes_who_waits_while_a_minority_is_dead() {
    let mut group = RedlockGroup::start(3);
    let [one, two] = two_managers(&group.url()).await;
    group.members[0].kill();
    let guard = one.lock("job").acquire().await.unwrap();
    let waiter = waiting(&two, "job");
    until_subscribed(&[&group.members[1], &group.members[2]], "job", 1).await;
    guard.release().await.unwrap();
    drop(within(ANSWER, "the waiter", waiter).await.unwrap().unwrap());
}

#[tokio::test]
async fn an_operator_sees_the_holder_and_can_free_the_lock() {
    let group = RedlockGroup::start(3);
    let [one, two] = two_managers(&group.url()).await;
    let _guard = one.lock("job").acquire().await.unwrap();
    let holder = two.inspect("job").await.unwrap().expect("it is held");
    assert_eq!(holder.owner(), "one");
    assert!(two.force_release("job").await.unwrap());
    assert!(two.inspect("job").await.unwrap().is_none());
    works(&two, "job").await;
}

#[tokio::test]
async fn what_is_left_on_a_minority_is_no_holder() {
    let group = RedlockGroup::start(3);
    let manager = manager(&group.url(), "one").await;
    group.members[0].cli(&["SET", "lock:job", "somebody", "PX", "600000"]);
    assert!(manager.inspect("job").await.unwrap().is_none());
}
