use lock_runtime::distributed_lock;

#[distributed_lock(key = "order")]
trait Order {}

fn main() {}
