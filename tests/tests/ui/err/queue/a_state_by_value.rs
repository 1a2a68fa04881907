use lock_runtime::{LockError, distributed_lock};

struct Db;

#[distributed_lock(key = "order", on_conflict = "queue")]
async fn ship(#[state] db: Db) -> Result<(), LockError> {
    let _ = db;
    Ok(())
}

fn main() {
    let _ = ship(Db);
}
