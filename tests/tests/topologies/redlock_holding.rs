//! `redlock://`: a lease is renewed by a majority, and lost on time without one.

use std::pin::pin;
use std::time::{Duration, Instant};

use lock_runtime::LostReason;
use lock_tests::{RedlockGroup, eventually};

use crate::support::{
    ANSWER, LATE, LONG, SOON, conflicts, is_lost, manager, two_managers, until_no_lock_is_left, until_not_renewed_for,
    until_renewed, watched, within, works_again,
};

#[tokio::test]
async fn a_lease_is_renewed_while_a_minority_is_dead() {
    let mut group = RedlockGroup::start(3);
    let [one, two] = two_managers(&group.url()).await;
    let guard = watched(&one, "job").await;
    group.members[1].kill();
    until_renewed(guard.lease()).await;
    conflicts(&two, "job").await;
}

#[tokio::test]
async fn a_lease_is_renewed_while_a_minority_hangs() {
    let group = RedlockGroup::start(5);
    let [one, two] = two_managers(&group.url()).await;
    let guard = watched(&one, "job").await;
    group.members[0].pause();
    group.members[1].pause();
    until_renewed(guard.lease()).await;
    conflicts(&two, "job").await;
}

#[tokio::test]
async fn a_short_lease_outlives_its_ttl_while_a_minority_hangs() {
    let group = RedlockGroup::start(3);
    let manager = manager(&group.url(), "one").await;
    let ttl = Duration::from_secs(2);
    let guard = manager.lock("job").ttl(ttl).acquire().await.unwrap();
    group.members[2].pause();
    let start = Instant::now();
    eventually("two ttls have passed", LATE, async || {
        guard.lease().ensure_held().unwrap();
        start.elapsed() > ttl * 2
    })
    .await;
}

#[tokio::test]
async fn failed_rounds_do_not_end_a_lease_that_is_still_valid() {
    let group = RedlockGroup::start(3);
    let manager = manager(&group.url(), "one").await;
    let guard = watched(&manager, "job").await;
    group.members[0].pause();
    group.members[1].pause();
    until_not_renewed_for(guard.lease(), Duration::from_secs(2)).await;
    guard.lease().ensure_held().unwrap();
    group.members[0].resume();
    group.members[1].resume();
    until_renewed(guard.lease()).await;
}

/// The majority goes; the lease is lost no later than one ttl after it was acquired.
async fn is_lost_on_time(fault: impl FnOnce(&mut RedlockGroup)) {
    // Its drift (62 ms) is longer than a loaded machine is late.
    let ttl = Duration::from_secs(6);
    let mut group = RedlockGroup::start(3);
    let manager = manager(&group.url(), "one").await;
    let guard = manager.lock("job").ttl(ttl).acquire().await.unwrap();
    let acquired = Instant::now();
    fault(&mut group);
    let reason = within(ttl, "the loss", guard.lease().lost()).await;
    assert_eq!(reason, LostReason::Expired);
    let held = acquired.elapsed();
    assert!(held >= ttl / 2, "lost after {held:?} already");
}

#[tokio::test]
async fn a_lease_is_lost_on_time_when_the_majority_hangs() {
    is_lost_on_time(|group| {
        group.members[0].pause();
        group.members[2].pause();
    })
    .await;
}

#[tokio::test]
async fn a_lease_is_lost_on_time_when_the_majority_is_killed() {
    is_lost_on_time(|group| {
        group.members[0].kill();
        group.members[1].kill();
    })
    .await;
}

#[tokio::test]
async fn a_lease_whose_key_a_majority_has_lost_is_lost_at_once() {
    let group = RedlockGroup::start(3);
    let manager = manager(&group.url(), "one").await;
    // Renewed rarely enough that both are gone at the same look.
    let request = manager.lock("job").ttl(LONG).renew_every(SOON);
    let guard = request.acquire().await.unwrap();
    until_on_all(&group).await;
    for member in &group.members[..2] {
        member.cli(&["DEL", "lock:job"]);
    }
    assert_eq!(is_lost(&guard, ANSWER).await, LostReason::Missing);
    drop(guard);
    until_no_lock_is_left(&group.members).await;
}

#[tokio::test]
async fn a_lease_whose_majority_somebody_else_has_is_taken() {
    let group = RedlockGroup::start(3);
    let manager = manager(&group.url(), "one").await;
    let guard = watched(&manager, "job").await;
    for member in &group.members[1..] {
        member.cli(&["SET", "lock:job", "somebody", "PX", "600000"]);
    }
    assert_eq!(is_lost(&guard, ANSWER).await, LostReason::Taken);
    drop(guard);
    eventually("only the other's keys are left", LATE, async || {
        group.with_key("lock:job") == [1, 2]
    })
    .await;
    assert_eq!(group.members[1].get("lock:job").as_deref(), Some("somebody"));
}

#[tokio::test]
async fn a_member_that_lost_the_key_is_given_it_again() {
    let group = RedlockGroup::start(3);
    let manager = manager(&group.url(), "one").await;
    let guard = watched(&manager, "job").await;
    until_on_all(&group).await;
    group.members[1].cli(&["DEL", "lock:job"]);
    until_on_all(&group).await;
    let fence = guard.fence();
    until_renewed(guard.lease()).await;
    assert_eq!(guard.lease().fence(), fence);
    guard.release().await.unwrap();
    until_no_lock_is_left(&group.members).await;
}

#[tokio::test]
async fn a_lease_outlives_the_loss_of_each_member_s_key_one_after_the_other() {
    let group = RedlockGroup::start(3);
    let [one, two] = two_managers(&group.url()).await;
    let guard = watched(&one, "job").await;
    for member in &group.members {
        until_on_all(&group).await;
        member.cli(&["DEL", "lock:job"]);
        until_renewed(guard.lease()).await;
    }
    conflicts(&two, "job").await;
}

#[tokio::test]
async fn a_member_that_hung_meanwhile_is_freed_when_it_wakes() {
    let group = RedlockGroup::start(3);
    let manager = manager(&group.url(), "one").await;
    let guard = manager.lock("job").ttl(LONG).acquire().await.unwrap();
    until_on_all(&group).await;
    group.members[1].pause();
    within(SOON, "release", guard.release()).await.unwrap();
    group.members[1].resume();
    until_no_lock_is_left(&group.members).await;
}

#[tokio::test]
async fn a_member_that_was_out_of_reach_is_freed_when_it_comes_back() {
    let group = RedlockGroup::behind_proxies(3);
    let manager = manager(&group.url(), "one").await;
    let guard = manager.lock("job").ttl(LONG).acquire().await.unwrap();
    until_on_all(&group).await;
    group.proxy(1).refuse(true);
    group.proxy(1).cut();
    within(SOON, "release", guard.release()).await.unwrap();
    // Long enough that somebody has tried in vain.
    eventually("the release is tried", LATE, async || group.proxy(1).refused() > 0).await;
    group.proxy(1).refuse(false);
    until_no_lock_is_left(&group.members).await;
}

#[tokio::test]
async fn a_member_that_hung_since_the_acquire_has_no_key_in_the_end() {
    let group = RedlockGroup::start(3);
    let manager = manager(&group.url(), "one").await;
    works_again(&manager, "warm-up").await.release().await.unwrap();
    group.members[1].pause();
    let guard = manager.lock("job").ttl(LONG).acquire().await.unwrap();
    within(SOON, "release", guard.release()).await.unwrap();
    group.members[1].resume();
    manager.shutdown(LATE).await;
    until_no_lock_is_left(&group.members).await;
}

#[tokio::test]
async fn a_release_counts_each_member_once_however_often_it_fails() {
    let mut group = RedlockGroup::behind_proxies(5);
    let manager = manager(&group.url(), "one").await;
    works_again(&manager, "warm-up").await.release().await.unwrap();
    group.members[0].kill();
    group.members[1].kill();
    let guard = works_again(&manager, "job").await;
    // These two have failed several times before the other three answer.
    for member in 2..5 {
        group.proxy(member).delay(Duration::from_millis(300));
    }
    within(SOON, "release", guard.release()).await.unwrap();
    until_no_lock_is_left(&group.members[2..]).await;
}

/// A grant comes with the majority, and the release is there before the others have answered: on each member it goes
/// behind the acquire.
#[tokio::test]
async fn a_release_goes_behind_its_acquire_on_every_member() {
    let group = RedlockGroup::behind_proxies(5);
    let manager = manager(&group.url(), "one").await;
    works_again(&manager, "warm-up").await.release().await.unwrap();
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
async fn a_request_that_arrives_after_the_release_leaves_no_key() {
    let group = RedlockGroup::behind_proxies(3);
    let manager = manager(&group.url(), "one").await;
    works_again(&manager, "warm-up").await.release().await.unwrap();
    group.proxy(1).freeze();
    let guard = manager.lock("job").ttl(LONG).acquire().await.unwrap();
    let sent = async || group.proxy(1).requests_with("lock:job") > 0;
    eventually("the third member's request is under way", LATE, sent).await;
    within(SOON, "release", guard.release()).await.unwrap();
    group.proxy(1).thaw();
    let arrived = |member: usize| group.members[member].exists("lock:job");
    eventually("it is cleared up", LATE, async || !arrived(1)).await;
    until_no_lock_is_left(&group.members).await;
}

#[tokio::test]
async fn a_request_that_arrives_while_its_manager_shuts_down_leaves_no_key() {
    let group = RedlockGroup::behind_proxies(3);
    let manager = manager(&group.url(), "one").await;
    works_again(&manager, "warm-up").await.release().await.unwrap();
    group.proxy(1).hold_back();
    let guard = manager.lock("job").ttl(LONG).acquire().await.unwrap();
    let sent = |count: usize| group.proxy(1).requests_with("lock:job") >= count;
    eventually("the request is under way", LATE, async || sent(1)).await;
    within(SOON, "release", guard.release()).await.unwrap();
    eventually("it was cleared up on another connection", LATE, async || sent(5)).await;
    let mut shutdown = pin!(manager.shutdown(Duration::ZERO));
    let early = tokio::time::timeout(Duration::from_millis(500), shutdown.as_mut()).await;
    group.proxy(1).let_through();
    assert!(early.is_err(), "the shutdown did not wait for the late request");
    within(LATE, "the shutdown", shutdown).await;
    assert!(!group.members[1].exists("lock:job"));
}

#[tokio::test]
async fn lost_replies_of_a_member_leave_no_key_behind() {
    let group = RedlockGroup::behind_proxies(3);
    let manager = manager(&group.url(), "one").await;
    works_again(&manager, "warm-up").await.release().await.unwrap();
    group.proxy(0).lose_reply_to("lock:job");
    let guard = works_again(&manager, "job").await;
    guard.release().await.unwrap();
    until_no_lock_is_left(&group.members).await;
}

#[tokio::test]
async fn an_acquire_that_is_dropped_halfway_leaves_no_keys() {
    let group = RedlockGroup::behind_proxies(3);
    let manager = manager(&group.url(), "one").await;
    works_again(&manager, "warm-up").await.release().await.unwrap();
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

/// Waits until every member has the key: a grant comes with the majority, the rest follow.
async fn until_on_all(group: &RedlockGroup) {
    let all = group.members.len();
    eventually("every member has the key", LATE, async || {
        group.with_key("lock:job").len() == all
    })
    .await;
}
