use lock_runtime::{LockError, distributed_lock};

async fn undo(id: u64) -> Result<(), LockError> {
    let _ = id;
    Ok(())
}

#[distributed_lock(key = "order:<id>", compensate = undo(id), on_lost = "continue")]
async fn ship(id: u64) -> Result<(), LockError> {
    let _ = id;
    Ok(())
}

fn main() {
    let _ = ship(1);
}
