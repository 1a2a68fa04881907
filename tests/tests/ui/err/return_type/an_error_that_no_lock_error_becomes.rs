use lock_runtime::distributed_lock;

struct ShopError;

#[distributed_lock(key = "order:<id>")]
async fn ship(id: u64) -> Result<u64, ShopError> {
    Ok(id)
}

fn main() {
    let _ = ship(1);
}
