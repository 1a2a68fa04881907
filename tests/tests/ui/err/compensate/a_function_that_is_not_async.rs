use lock_runtime::{LockError, distributed_lock};

fn undo(_: u64) -> Result<(), LockError> {
    Ok(())
}

#[distributed_lock(key = "order:<id>", compensate = undo(id))]
async fn ship(id: u64) -> Result<(), LockError> {
    let _ = id;
    Ok(())
}

fn main() {
    let _ = ship(1);
}
