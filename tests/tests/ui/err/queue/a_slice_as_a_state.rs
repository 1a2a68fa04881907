use lock_runtime::{LockError, distributed_lock};

#[distributed_lock(key = "order", on_conflict = "queue")]
async fn ship(#[state] rates: &[f64]) -> Result<(), LockError> {
    let _ = rates;
    Ok(())
}

fn main() {
    let _ = ship(&[]);
}
