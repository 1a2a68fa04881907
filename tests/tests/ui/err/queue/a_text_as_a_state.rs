use lock_runtime::{LockError, distributed_lock};

#[distributed_lock(key = "order", on_conflict = "queue")]
async fn ship(#[state] name: &str) -> Result<(), LockError> {
    let _ = name;
    Ok(())
}

fn main() {
    let _ = ship("");
}
