use lock_runtime::distributed_lock;

#[distributed_lock(key = "order")]
use std::mem::drop as order;

fn main() {
    order(1);
}
