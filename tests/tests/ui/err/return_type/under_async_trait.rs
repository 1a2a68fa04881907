use lock_runtime::distributed_lock;

struct Shop;

#[async_trait::async_trait]
trait Ship {
    async fn ship(&self) -> u64;
}

#[async_trait::async_trait]
impl Ship for Shop {
    #[distributed_lock(key = "order")]
    async fn ship(&self) -> u64 {
        1
    }
}

fn main() {
    let _ = Shop.ship();
}
