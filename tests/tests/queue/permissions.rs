//! A Redis user with no more permissions than the README asks for.

use lock_runtime::{CallState, Cancellation, LockManager};
use lock_tests::RedisServer;

use crate::functions::ship_soon;
use crate::support::{Act, Shop, Working, counts, dead, done, hold, ms, stored, waiting};

const README: &str = include_str!("../../../README.md");

/// The rules of the smallest user that works, and those of the table's row that begins like this.
fn rules(row: &str) -> Vec<&'static str> {
    let (_, rest) = README.split_once("ACL SETUSER locker ").unwrap();
    let (smallest, rest) = rest.split_once("```").unwrap();
    let row = rest.lines().find(|line| line.starts_with(row)).unwrap();
    let (_, more) = row.rsplit_once(" | `").unwrap();
    let (more, _) = more.split_once('`').unwrap();
    smallest.split_whitespace().chain(more.split_whitespace()).collect()
}

/// A manager of a user with what locks and stored calls need, and nothing else.
async fn least(server: &RedisServer) -> LockManager {
    let rules = rules("| stored calls");
    let mut command = vec!["ACL", "SETUSER", "locker", "reset"];
    command.extend(rules);
    server.cli(&command);
    let locks = LockManager::connect(&server.url_with("locker:secret@", ""))
        .await
        .unwrap();
    // The one question that a server may refuse: INFO, when the program starts.
    server.cli(&["ACL", "LOG", "RESET"]);
    locks
}

#[tokio::test]
async fn a_user_with_the_permissions_of_the_readme_may_do_everything_with_stored_calls() {
    let server = RedisServer::start();
    let locks = least(&server).await;
    let (shop, queue) = (Shop::on(&locks), locks.queue());
    let worker = Working::start(shop.worker(&locks).claim_lease(ms(500)));
    // Stored, claimed, kept for longer than its claim, done.
    let slow = shop.store_free(1, "slow", Act::Linger { ms: 900 }).await;
    done(&locks, slow).await;
    // Tried in vain, exhausted, sent back, cancelled.
    let guard = hold(&locks, 2).await;
    let hopeless = ship_soon(&shop, 2, "hopeless".into(), Act::Note).await.unwrap();
    let hopeless = hopeless.ticket().unwrap();
    dead(&locks, hopeless).await;
    assert!(queue.send_back(hopeless).await.unwrap());
    let waits = shop.store(2, "waits", Act::Note).await;
    assert_eq!(queue.cancel(waits).await.unwrap(), Cancellation::Cancelled);
    for state in [CallState::Due, CallState::Delayed, CallState::Running, CallState::Dead] {
        queue.list(state, 0, 10).await.unwrap();
    }
    guard.release().await.unwrap();
    done(&locks, hopeless).await;
    // Dead, sent back with all, forgotten.
    let bad = shop.store_free(3, "bad", Act::Fail("no stock".into())).await;
    dead(&locks, bad).await;
    worker.stop().await;
    assert_eq!(queue.send_back_all().await.unwrap(), 1);
    assert_eq!(waiting(&locks).await, 1);
    let worker = shop.work(&locks);
    dead(&locks, bad).await;
    assert!(stored(&locks, bad).await.cause().is_some());
    assert_eq!(queue.purge(ms(0)).await.unwrap(), 1);
    worker.stop().await;
    assert_eq!(counts(&locks).await, [0; 4]);
    let denied = server.cli(&["ACL", "LOG"]);
    assert!(denied.is_empty(), "{denied}");
}

#[tokio::test]
async fn a_user_with_the_permissions_for_locks_only_is_told_what_is_missing_and_may_use_locks() {
    let server = RedisServer::start();
    let locks = least(&server).await;
    server.cli(&["ACL", "SETUSER", "locker", "-hset", "-zadd", "-hget"]);
    let shop = Shop::on(&locks);
    let guard = hold(&locks, 7).await;
    let error = crate::functions::ship(&shop, 7, "refused".into(), Act::Note)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, crate::support::ShopError::Lock(error) if error.is_unavailable()),
        "{error:?}"
    );
    let text = error.to_string().to_lowercase();
    assert!(
        ["hset", "zadd", "hget"].iter().any(|command| text.contains(command)),
        "{text}"
    );
    guard.release().await.unwrap();
    hold(&locks, 7).await.release().await.unwrap();
}
