use lock_runtime::{LockError, distributed_lock};

#[distributed_lock(key = "order:<id>")]
async fn ship(id: u64) -> Result<(), LockError> {
    let _ = (id, __call);
    Ok(())
}

fn main() {
    let _ = ship(1);
}
