use lock_runtime::{LockError, distributed_lock};

#[distributed_lock(key = "order:<ordr_id>")]
async fn ship(order_id: u64, name: &str) -> Result<(), LockError> {
    let _ = (order_id, name);
    Ok(())
}

fn main() {
    let _ = ship(1, "a");
}
