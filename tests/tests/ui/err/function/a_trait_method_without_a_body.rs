use lock_runtime::{LockError, distributed_lock};

trait Ship {
    #[distributed_lock(key = "order:<id>")]
    async fn ship(&self, id: u64) -> Result<(), LockError>;
}

struct Shop;

impl Ship for Shop {
    async fn ship(&self, _: u64) -> Result<(), LockError> {
        Ok(())
    }
}

fn main() {
    let _ = Shop.ship(1);
}
