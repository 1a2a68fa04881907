use lock_runtime::{LockError, distributed_lock};

async fn undo(id: u64) -> Result<(), LockError> {
    let _ = id;
    Ok(())
}

#[distributed_lock(key = "order", compensate = undo(*id))]
async fn ship(id: &mut u64) -> Result<(), LockError> {
    *id += 1;
    Ok(())
}

fn main() {
    let _ = ship(&mut 1);
}
