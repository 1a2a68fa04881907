use lock_runtime::{LockError, distributed_lock};

struct Shop;

#[async_trait::async_trait]
trait Ship {
    async fn ship(&self, name: &str) -> Result<(), LockError>;
}

#[async_trait::async_trait]
impl Ship for Shop {
    #[distributed_lock(key = "order:<name>", on_conflict = "queue")]
    async fn ship(&self, name: &str) -> Result<(), LockError> {
        let _ = name;
        Ok(())
    }
}

fn main() {
    let _ = Shop.ship("");
}
