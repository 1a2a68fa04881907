use lock_runtime::{LockError, distributed_lock};

#[distributed_lock(key = "order", on_conflict = "queue")]
async fn ship(id: impl Into<u64>) -> Result<(), LockError> {
    let _ = id.into();
    Ok(())
}

fn main() {
    let _ = ship(1_u8);
}
