use lock_runtime::{LockError, distributed_lock};

#[distributed_lock(key = "order:<id>")]
async fn ship(id: u64) -> Result<(), LockError> {
    if id == 0 {
        return 1;
    }
    Ok(())
}

fn main() {
    let _ = ship(1);
}
