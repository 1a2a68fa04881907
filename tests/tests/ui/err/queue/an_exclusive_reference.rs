use lock_runtime::{LockError, distributed_lock};

#[distributed_lock(key = "order", on_conflict = "queue")]
async fn ship(ids: &mut Vec<u64>) -> Result<(), LockError> {
    let _ = ids;
    Ok(())
}

fn main() {
    let _ = ship(&mut Vec::new());
}
