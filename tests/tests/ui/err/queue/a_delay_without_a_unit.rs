use lock_runtime::{LockError, distributed_lock};

#[distributed_lock(key = "order:<id>", on_conflict = "queue", delay = 5)]
async fn ship(id: u64) -> Result<(), LockError> {
    let _ = id;
    Ok(())
}

fn main() {
    let _ = ship(1);
}
