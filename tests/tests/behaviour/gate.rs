//! The resource's side of a fence: in memory, in Redis, in SQL.

use lock_runtime::gate::{Gate, REDIS_SCRIPT, SQL};
use lock_runtime::{Fence, LockManager};
use lock_tests::RedisServer;
use rusqlite::{Connection, named_params};

#[test]
fn a_stale_fence_is_refused_and_counted() {
    let gate = Gate::new();
    gate.admit("account", Fence::from(5)).unwrap();
    gate.admit("account", Fence::from(5)).unwrap();
    gate.admit("account", Fence::from(7)).unwrap();
    let error = gate.admit("account", Fence::from(6)).unwrap_err();
    assert_eq!((error.fence, error.seen), (Fence::from(6), Fence::from(7)));
    let text = error.to_string();
    assert!(text.contains('6') && text.contains('7'), "{text}");
    assert_eq!(gate.refused(), 1);
    gate.admit("account", Fence::from(7)).unwrap();
    assert_eq!(gate.refused(), 1, "what is taken is not counted");
}

#[test]
fn resources_of_a_gate_do_not_know_of_each_other() {
    let gate = Gate::new();
    gate.admit("one", Fence::from(9)).unwrap();
    gate.admit("two", Fence::from(1)).unwrap();
    gate.forget("one");
    gate.admit("one", Fence::from(2)).unwrap();
    assert_eq!(gate.refused(), 0);
}

#[tokio::test]
async fn the_fences_of_two_holders_pass_a_gate_in_their_order_only() {
    let manager = LockManager::in_memory();
    let gate = Gate::new();
    let former = manager.lock("job").acquire().await.unwrap();
    manager.force_release("job").await.unwrap();
    let present = manager.lock("job").acquire().await.unwrap();
    gate.admit("job", former.fence()).unwrap();
    gate.admit("job", present.fence()).unwrap();
    gate.admit("job", former.fence()).unwrap_err();
    gate.admit("job", present.fence()).unwrap();
}

#[test]
fn the_script_refuses_and_counts_as_the_gate_does() {
    let server = RedisServer::start();
    let write = |fence: u64, value: &str| server.cli(&["EVAL", REDIS_SCRIPT, "1", "data", &fence.to_string(), value]);
    // As large as fences are, and one apart.
    let fence = 1_795_315_479_341_447;
    assert_eq!(write(fence, "first"), "1");
    assert_eq!(write(fence, "again"), "1");
    assert_eq!(write(fence - 1, "late"), "0");
    assert_eq!(server.cli(&["HGET", "data", "value"]), "again");
    assert_eq!(write(fence + 1, "next"), "1");
    assert_eq!(write(fence, "late"), "0");
    assert_eq!(server.cli(&["HGET", "data", "value"]), "next");
    assert_eq!(server.cli(&["HGET", "data", "refused"]), "2");
}

#[test]
fn the_update_changes_nothing_where_the_fence_is_stale() {
    let database = Connection::open_in_memory().unwrap();
    database
        .execute_batch(
            "CREATE TABLE resource (id INTEGER PRIMARY KEY, value TEXT, fence BIGINT NOT NULL DEFAULT 0);
             INSERT INTO resource (id) VALUES (7);",
        )
        .unwrap();
    let write = |fence: i64, value: &str| {
        let row = named_params! { ":id": 7, ":fence": fence, ":value": value };
        database.execute(SQL, row).unwrap()
    };
    assert_eq!(write(5, "first"), 1);
    assert_eq!(write(5, "again"), 1);
    assert_eq!(write(4, "late"), 0);
    assert_eq!(write(6, "next"), 1);
    assert_eq!(write(5, "late"), 0);
    let value: String = database
        .query_row("SELECT value FROM resource WHERE id = 7", [], |row| row.get(0))
        .unwrap();
    assert_eq!(value, "next");
}
