use lock_runtime::{LockError, distributed_lock};

#[distributed_lock(key = "order:<id><name>")]
async fn ship(id: u64, name: &str) -> Result<(), LockError> {
    let _ = (id, name);
    Ok(())
}

fn main() {
    let _ = ship(1, "a");
}
