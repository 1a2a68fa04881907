use lock_runtime::distributed_lock;

#[distributed_lock(key = "order", on_conflict = "queue")]
async fn ship(id: u64) -> Option<u64> {
    Some(id)
}

fn main() {
    let _ = ship(1);
}
