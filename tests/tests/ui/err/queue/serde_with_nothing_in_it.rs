use lock_runtime::{LockError, distributed_lock};

#[distributed_lock(key = "order", on_conflict = "queue")]
async fn ship(#[serde] id: u64) -> Result<(), LockError> {
    let _ = id;
    Ok(())
}

fn main() {
    let _ = ship(1);
}
