use lock_runtime::{LockError, distributed_lock};

struct Shop;

impl Shop {
    #[distributed_lock(key = "order:<id>", on_conflict = "queue")]
    async fn ship(id: u64) -> Result<(), LockError> {
        let _ = id;
        Ok(())
    }
}

fn main() {
    let _ = Shop::ship(1);
}
