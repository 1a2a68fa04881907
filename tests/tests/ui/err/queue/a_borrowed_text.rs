use lock_runtime::{LockError, distributed_lock};

#[distributed_lock(key = "order", on_conflict = "queue")]
async fn ship(note: &str) -> Result<(), LockError> {
    let _ = note;
    Ok(())
}

fn main() {
    let _ = ship("");
}
