//! errors: 2

use lock_runtime::distributed_lock;

#[distributed_lock(key = "order", tll = "10s")]
struct Order;

fn main() {
    let _ = Order;
}
