use lock_runtime::{LockError, distributed_lock};

trait Db {}

impl Db for u8 {}

#[distributed_lock(key = "order", on_conflict = "queue")]
async fn ship(#[state] db: &(dyn Db + Send + Sync)) -> Result<(), LockError> {
    let _ = db;
    Ok(())
}

fn main() {
    let _ = ship(&7);
}
