//! errors: 6

use lock_runtime::{LockError, distributed_lock};

struct Db;

#[distributed_lock(key = "order:<idd>", on_conflict = "queue", attempts = 0, wait = "1s")]
async fn ship(#[state] db: Db, id: &u64, #[serde(skip)] note: String) -> Result<(), LockError> {
    let _ = (db, id, note);
    Ok(())
}

fn main() {
    let _ = ship(Db, &1, String::new());
}
