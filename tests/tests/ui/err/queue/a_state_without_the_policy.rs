use lock_runtime::{LockError, distributed_lock};

struct Db;

#[distributed_lock(key = "order:<id>")]
async fn ship(#[state] db: &Db, id: u64) -> Result<(), LockError> {
    let _ = (db, id);
    Ok(())
}

fn main() {
    let _ = ship(&Db, 1);
}
