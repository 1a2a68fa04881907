use lock_runtime::{LockError, distributed_lock};

struct Shop;

#[distributed_lock(key = "order")]
impl Shop {
    async fn ship() -> Result<(), LockError> {
        Ok(())
    }
}

fn main() {
    let _ = Shop::ship();
}
