use lock_runtime::{LockError, distributed_lock};

struct Shop;

#[async_trait::async_trait]
trait Ship {
    async fn ship(&self, id: u64, name: (String, u8)) -> Result<(), LockError>;
}

#[async_trait::async_trait]
impl Ship for Shop {
    #[distributed_lock(key = "order:<nam>")]
    async fn ship(&self, id: u64, (name, _): (String, u8)) -> Result<(), LockError> {
        let _ = (id, name);
        Ok(())
    }
}

fn main() {
    let _ = Shop.ship(1, (String::new(), 2));
}
