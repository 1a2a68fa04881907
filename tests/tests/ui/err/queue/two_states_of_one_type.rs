use lock_runtime::{LockError, distributed_lock};

struct Db;

#[distributed_lock(key = "order", on_conflict = "queue")]
async fn ship(#[state] from: &Db, #[state] to: &Db) -> Result<(), LockError> {
    let _ = (from, to);
    Ok(())
}

fn main() {
    let _ = ship(&Db, &Db);
}
