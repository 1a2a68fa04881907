//! `redlock://`: fences grow strictly whatever majority grants them, and two never hold at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use lock_runtime::LockManager;
use lock_tests::{RedisServer, RedlockGroup, eventually};

use crate::support::{LATE, LONG, manager, two_managers, within, works_again};

/// An hour, in the unit of fences.
const AHEAD: u64 = 3_600_000_000;

/// The counter of this member goes far ahead of all clocks; so only the counters decide.
fn raise(group: &RedlockGroup, member: usize, fence: u64) {
    group.members[member].cli(&["SET", "distributed-lock:fence", &fence.to_string()]);
}

async fn fence_of_a_turn(manager: &LockManager) -> u64 {
    let guard = works_again(manager, "job").await;
    let fence = guard.fence().get();
    guard.release().await.unwrap();
    fence
}

#[tokio::test]
async fn a_majority_without_the_member_that_was_ahead_gives_a_higher_fence() {
    let mut group = RedlockGroup::start(3);
    let manager = manager(&group.url(), "one").await;
    let ahead = fence_of_a_turn(&manager).await + AHEAD;
    raise(&group, 0, ahead);
    // So that the grant comes from the member that is ahead and one other.
    group.members[2].pause();
    let first = fence_of_a_turn(&manager).await;
    assert!(first > ahead, "{first} is from {ahead}");
    group.members[2].resume();
    group.members[0].kill();
    let second = fence_of_a_turn(&manager).await;
    assert!(second > first, "{second} after {first}");
}

#[tokio::test]
async fn fences_grow_while_the_majority_goes_round_and_each_member_was_ahead_once() {
    let group = RedlockGroup::start(3);
    let [one, two] = two_managers(&group.url()).await;
    let mut last = fence_of_a_turn(&one).await;
    for round in 0..6 {
        let (absent, ahead) = (round % 3, (round + 1) % 3);
        group.members[absent].pause();
        // It is absent in the next round, in which nobody is raised: what it knew must be known.
        if round % 2 == 0 {
            raise(&group, ahead, last + AHEAD);
        }
        for manager in [&one, &two] {
            let fence = fence_of_a_turn(manager).await;
            assert!(fence > last, "{fence} after {last} in round {round}");
            last = fence;
        }
        group.members[absent].resume();
    }
}

#[tokio::test]
async fn the_counter_of_a_majority_is_no_lower_than_the_fence_before_the_body_starts() {
    let group = RedlockGroup::start(5);
    let manager = manager(&group.url(), "one").await;
    for round in 0..5 {
        let highest = fence_of_a_turn(&manager).await;
        raise(&group, round, highest + AHEAD);
        let guard = works_again(&manager, "job").await;
        let fence = guard.fence().get();
        let counters = group.members.iter().map(|member| member.get("distributed-lock:fence"));
        let counters: Vec<u64> = counters.map(|counter| counter.unwrap().parse().unwrap()).collect();
        let written = counters.iter().filter(|counter| **counter >= fence).count();
        assert!(written >= group.majority(), "{fence} is in {written} of {counters:?}");
        guard.release().await.unwrap();
    }
}

/// Where nobody else counts, the proposals are above all counters, as soon as the manager has heard of all of these.
#[tokio::test]
async fn an_acquire_and_a_release_ask_each_member_once() {
    let group = RedlockGroup::start(5);
    let manager = manager(&group.url(), "one").await;
    let mut last = fence_of_a_turn(&manager).await;
    until_released(&group, 1).await;
    eventually("20 turns cost 40 scripts on each member", LATE, async || {
        for member in &group.members {
            member.cli(&["CONFIG", "RESETSTAT"]);
        }
        for _ in 0..20 {
            let fence = fence_of_a_turn(&manager).await;
            assert!(fence > last, "{fence} after {last}");
            last = fence;
        }
        // While there are not lanes to all of them yet, a member that was too late is asked for nothing.
        let all = tokio::time::timeout(Duration::from_secs(1), until_released(&group, 20)).await;
        let scripts = |member| calls(member, "evalsha") + calls(member, "eval");
        all.is_ok() && group.members.iter().all(|member| scripts(member) == 40)
    })
    .await;
}

/// Waits until each member has done so many releases, each of which publishes: then nothing more is under way.
async fn until_released(group: &RedlockGroup, count: u64) {
    eventually("each member has released", LATE, async || {
        group.members.iter().all(|member| calls(member, "publish") == count)
    })
    .await;
}

/// How often the server has run this command.
fn calls(member: &RedisServer, command: &str) -> u64 {
    let stats = member.cli(&["INFO", "commandstats"]);
    let name = format!("cmdstat_{command}:calls=");
    let line = stats.lines().find_map(|line| line.strip_prefix(&name));
    line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
}

#[tokio::test]
async fn fences_grow_where_two_managers_take_turns_and_one_server_is_flushed() {
    let group = RedlockGroup::start(3);
    let [one, two] = two_managers(&group.url()).await;
    let mut last = fence_of_a_turn(&one).await;
    for round in 0..12 {
        for manager in [&one, &two, &two] {
            let fence = fence_of_a_turn(manager).await;
            assert!(fence > last, "{fence} after {last} in round {round}");
            last = fence;
        }
        group.members[round % 3].cli(&["FLUSHALL"]);
    }
}

#[tokio::test]
async fn a_renewal_does_not_change_the_fence() {
    let group = RedlockGroup::start(3);
    let manager = manager(&group.url(), "one").await;
    let guard = crate::support::watched(&manager, "job").await;
    let fence = guard.fence();
    crate::support::until_renewed(guard.lease()).await;
    assert_eq!(guard.lease().fence(), fence);
}

/// Many who want the same lock: one at a time, each with a higher fence than the one before, and all
/// get it although votes are split.
async fn they_take_turns(group: &RedlockGroup, tasks: usize, turns: usize) {
    let inside = Arc::new(AtomicUsize::new(0));
    let last = Arc::new(AtomicU64::new(0));
    let managers = two_managers(&group.url()).await;
    let mut running = Vec::new();
    for task in 0..tasks {
        let manager = managers[task % 2].clone();
        let (inside, last) = (Arc::clone(&inside), Arc::clone(&last));
        running.push(tokio::spawn(async move {
            for _ in 0..turns {
                let request = manager.lock("job").ttl(LONG).wait(LATE);
                let guard = request.acquire().await.unwrap();
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two are inside");
                let before = last.swap(guard.fence().get(), Ordering::SeqCst);
                assert!(guard.fence().get() > before, "{} after {before}", guard.fence());
                tokio::task::yield_now().await;
                inside.fetch_sub(1, Ordering::SeqCst);
                guard.release().await.unwrap();
            }
        }));
    }
    for task in running {
        within(LATE * 2, "a task", task).await.unwrap();
    }
}

#[tokio::test]
async fn many_tasks_take_turns() {
    let group = RedlockGroup::start(3);
    they_take_turns(&group, 6, 5).await;
}

#[tokio::test]
async fn many_tasks_take_turns_while_the_members_answer_at_different_speeds() {
    let group = RedlockGroup::behind_proxies(5);
    for (member, milliseconds) in [3, 0, 12, 7, 1].into_iter().enumerate() {
        group.proxy(member).delay(Duration::from_millis(milliseconds));
    }
    they_take_turns(&group, 4, 4).await;
}
