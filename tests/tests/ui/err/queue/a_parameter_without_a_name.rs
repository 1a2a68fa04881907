use lock_runtime::{LockError, distributed_lock};

#[distributed_lock(key = "order", on_conflict = "queue")]
async fn ship(_: u64) -> Result<(), LockError> {
    Ok(())
}

fn main() {
    let _ = ship(1);
}
