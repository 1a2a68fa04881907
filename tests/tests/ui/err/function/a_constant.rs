use lock_runtime::distributed_lock;

#[distributed_lock(key = "order")]
const ORDER: u8 = 1;

fn main() {
    let _ = ORDER;
}
