use lock_runtime::distributed_lock;

#[distributed_lock(key = "order:<id>")]
async fn ship(id: u64) -> ! {
    let _ = id;
    std::future::pending().await
}

fn main() {
    let _ = ship(1);
}
