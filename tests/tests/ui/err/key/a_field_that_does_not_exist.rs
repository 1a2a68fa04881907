use lock_runtime::{LockError, distributed_lock};

struct Order {
    id: u64,
}

#[distributed_lock(key = "order:<order.number>")]
async fn ship(order: Order) -> Result<(), LockError> {
    let _ = order.id;
    Ok(())
}

fn main() {
    let _ = ship(Order { id: 1 });
}
