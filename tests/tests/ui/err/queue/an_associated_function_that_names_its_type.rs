use lock_runtime::{LockError, distributed_lock};

#[derive(serde::Serialize, serde::Deserialize)]
struct Shop;

impl Shop {
    #[distributed_lock(key = "order", on_conflict = "queue")]
    async fn ship(shop: Option<Self>) -> Result<(), LockError> {
        let _ = shop;
        Ok(())
    }
}

fn main() {
    let _ = Shop::ship(None);
}
