//! Every option in every form.

use lock_runtime::{Key, LockError, LockManager, LostReason, distributed_lock};
use std::sync::Arc;

struct Shop {
    id: u64,
    locks: LockManager,
}

struct Locks(LockManager);

impl AsRef<LockManager> for Locks {
    fn as_ref(&self) -> &LockManager {
        &self.0
    }
}

#[distributed_lock(
    key = "order:<id>",
    ttl = "1m 30s",
    on_conflict = "retry",
    wait = "5s",
    backoff = "20ms..500ms",
    renew = "45s",
    max_hold = "1h",
    hold_at_least = "10s",
    on_lost = "abort",
    compensate = refund(id, &reason),
    reentrant,
    crate = ::lock_runtime,
)]
async fn everything(id: u64) -> Result<u64, LockError> {
    Ok(id)
}

async fn refund(id: u64, _reason: &LostReason) -> Result<u64, LockError> {
    Ok(id)
}

#[distributed_lock(
    key = "order",
    on_conflict = "fail",
    on_lost = "continue",
    renew = false,
    reentrant = false
)]
async fn the_other_values() -> Result<(), LockError> {
    Ok(())
}

#[distributed_lock(key = "order", on_conflict = "skip")]
async fn skipped_unit() -> Result<(), LockError> {
    Ok(())
}

#[distributed_lock(key = "order", on_conflict = "skip", reentrant = true)]
async fn skipped_option() -> Result<Option<u8>, LockError> {
    Ok(Some(1))
}

struct Report;

impl lock_runtime::Skipped for Report {
    fn skipped() -> Report {
        Report
    }
}

#[distributed_lock(key = "order", on_conflict = "skip")]
async fn skipped_type_of_ones_own() -> Result<Report, LockError> {
    Ok(Report)
}

#[distributed_lock(key = Key::from_segments(["order", name]))]
async fn a_key(name: &str) -> Result<usize, LockError> {
    Ok(name.len())
}

#[distributed_lock(key = name.clone())]
async fn a_string(name: String) -> Result<usize, LockError> {
    Ok(name.len())
}

#[distributed_lock(key = name)]
async fn a_text(name: &str) -> Result<usize, LockError> {
    Ok(name.len())
}

#[distributed_lock(key = &key)]
async fn a_borrowed_key(key: Key) -> Result<Key, LockError> {
    Ok(key)
}

#[distributed_lock(key = &*name)]
async fn a_shared_text(name: Arc<str>) -> Result<usize, LockError> {
    Ok(name.len())
}

impl Shop {
    #[distributed_lock(key = "shop:<self.id>", manager = self.locks)]
    async fn the_manager_in_self(&self) -> Result<u64, LockError> {
        Ok(self.id)
    }
}

#[distributed_lock(key = "order", manager = locks)]
async fn a_manager(locks: LockManager) -> Result<LockManager, LockError> {
    Ok(locks)
}

#[distributed_lock(key = "order", manager = locks)]
async fn a_borrowed_manager(locks: &LockManager) -> Result<(), LockError> {
    Ok(())
}

#[distributed_lock(key = "order", manager = locks)]
async fn a_shared_manager(locks: Arc<LockManager>) -> Result<(), LockError> {
    Ok(())
}

#[distributed_lock(key = "order", manager = locks)]
async fn something_with_a_manager(locks: &Locks) -> Result<(), LockError> {
    Ok(())
}

#[distributed_lock(key = "order", manager = connect())]
async fn a_new_manager() -> Result<(), LockError> {
    Ok(())
}

fn connect() -> LockManager {
    LockManager::in_memory()
}

fn main() {
    let locks = LockManager::in_memory();
    let _ = (
        everything(1),
        the_other_values(),
        skipped_unit(),
        skipped_option(),
        skipped_type_of_ones_own(),
    );
    let _ = (
        a_key("a"),
        a_string(String::new()),
        a_text("a"),
        a_borrowed_key(Key::from("a")),
        a_shared_text("a".into()),
    );
    let _ = (
        a_manager(locks.clone()),
        a_borrowed_manager(&locks),
        a_shared_manager(Arc::new(locks.clone())),
    );
    let _ = (something_with_a_manager(&Locks(locks.clone())), a_new_manager());
    let _ = Shop { id: 1, locks }.the_manager_in_self();
}

#[test]
fn every_option_makes_a_future() {
    main();
}
