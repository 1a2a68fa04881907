//! `redlock://`: all members are asked at once, and who does not answer costs nothing.

use lock_runtime::LockManager;
use lock_tests::{RedlockGroup, eventually};

use crate::redlock_lanes::with_lanes;
use crate::support::{LATE, LONG, SOON, until_no_lock_is_left, within, works_again};

/// Managers that ask from the lock thread, and over the connections of the caller's own runtime.
async fn managers(group: &RedlockGroup) -> [LockManager; 2] {
    let without = LockManager::builder().url(group.url()).connection_per_runtime(false);
    let without = without.connect().await.unwrap();
    works_again(&without, "warm-up").await.release().await.unwrap();
    let managers = [without, with_lanes(group).await];
    until_no_lock_is_left(&group.members).await;
    managers
}

/// Freezes all, begins `call`, and waits until each member was sent something about `key` once more.
async fn all_are_asked<T: Send + 'static>(
    group: &RedlockGroup,
    key: &str,
    call: impl Future<Output = T> + Send + 'static,
) -> T {
    let members = 0..group.members.len();
    let sent = |member: usize| group.proxy(member).requests_with(key);
    let before: Vec<_> = members.clone().map(sent).collect();
    members.clone().for_each(|member| group.proxy(member).freeze());
    let call = tokio::spawn(call);
    eventually("all are asked though none has answered", SOON, async || {
        members.clone().all(|member| sent(member) > before[member])
    })
    .await;
    members.for_each(|member| group.proxy(member).thaw());
    within(SOON, "the answer", call).await.unwrap()
}

#[tokio::test]
async fn all_members_are_asked_before_any_has_answered() {
    let group = RedlockGroup::behind_proxies(5);
    for (number, manager) in managers(&group).await.into_iter().enumerate() {
        let key = format!("job:{number}");
        // Waits, so that an attempt which a loaded machine gave up is made again.
        let acquire = manager.lock(&*key).ttl(LONG).wait(LATE).acquire();
        let guard = all_are_asked(&group, &key, acquire).await.unwrap();
        eventually("every member has it", LATE, async || {
            group.with_key(&format!("lock:{key}")).len() == 5
        })
        .await;
        all_are_asked(&group, &key, guard.release()).await.unwrap();
        until_no_lock_is_left(&group.members).await;
    }
}

#[tokio::test]
async fn a_member_that_hangs_costs_calls_nothing() {
    let group = RedlockGroup::start(5);
    let managers = managers(&group).await;
    group.members[2].pause();
    for manager in managers {
        // A twentieth of a second for each of them would be too much.
        let calls = async {
            for number in 0..50 {
                let request = manager.lock(format!("job:{number}")).ttl(LONG);
                request.run(async {}).await.unwrap();
            }
        };
        within(SOON, "fifty calls, one after the other", calls).await;
    }
    group.members[2].resume();
    until_no_lock_is_left(&group.members).await;
}
