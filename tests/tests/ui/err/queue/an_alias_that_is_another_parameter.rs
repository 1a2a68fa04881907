use lock_runtime::{LockError, distributed_lock};

#[distributed_lock(key = "order", on_conflict = "queue")]
async fn ship(#[serde(alias = "note")] id: u64, note: String) -> Result<(), LockError> {
    let _ = (id, note);
    Ok(())
}

fn main() {
    let _ = ship(1, String::new());
}
