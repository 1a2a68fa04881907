use lock_runtime::{LockError, distributed_lock};

#[distributed_lock(key = "order:<id>", delay = "1s")]
async fn ship(id: u64) -> Result<(), LockError> {
    let _ = id;
    Ok(())
}

fn main() {
    let _ = ship(1);
}
