use lock_runtime::distributed_lock;

#[distributed_lock(key = "order")]
enum Order {}

fn main() {}
