use lock_runtime::{LockError, distributed_lock};

struct Order;

async fn undo(_: Order) -> Result<(), LockError> {
    Ok(())
}

#[distributed_lock(key = "order", compensate = undo(order))]
async fn ship(order: Order) -> Result<(), LockError> {
    drop(order);
    Ok(())
}

fn main() {
    let _ = ship(Order);
}
