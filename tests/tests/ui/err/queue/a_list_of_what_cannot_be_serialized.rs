use lock_runtime::{LockError, distributed_lock};

struct Order;

#[distributed_lock(key = "order", on_conflict = "queue")]
async fn ship(orders: Vec<Order>) -> Result<(), LockError> {
    let _ = orders;
    Ok(())
}

fn main() {
    let _ = ship(Vec::new());
}
