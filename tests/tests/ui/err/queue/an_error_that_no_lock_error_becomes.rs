use lock_runtime::distributed_lock;

#[distributed_lock(key = "order", on_conflict = "queue")]
async fn ship(id: u64) -> Result<(), String> {
    let _ = id;
    Ok(())
}

fn main() {
    let _ = ship(1);
}
