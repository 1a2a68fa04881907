use lock_runtime::{LockError, distributed_lock};

#[derive(serde::Serialize)]
struct Order;

#[distributed_lock(key = "order", on_conflict = "queue")]
async fn ship(order: Order) -> Result<(), LockError> {
    let _ = order;
    Ok(())
}

fn main() {
    let _ = ship(Order);
}
