use lock_runtime::{LockError, distributed_lock};

#[distributed_lock(key = "order", on_conflict = "queue")]
async fn ship<'a>(#[state] db: &'a u8) -> Result<(), LockError> {
    let _ = db;
    Ok(())
}

fn main() {
    let _ = ship(&1);
}
