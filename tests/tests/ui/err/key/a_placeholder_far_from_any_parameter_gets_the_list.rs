use lock_runtime::{LockError, distributed_lock};

#[distributed_lock(key = "order:<customer>")]
async fn ship(id: u64, (first, _): (u8, u8)) -> Result<(), LockError> {
    let _ = (id, first);
    Ok(())
}

fn main() {
    let _ = ship(1, (2, 3));
}
