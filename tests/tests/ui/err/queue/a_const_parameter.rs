use lock_runtime::{LockError, distributed_lock};

#[distributed_lock(key = "order", on_conflict = "queue")]
async fn ship<const N: u8>() -> Result<(), LockError> {
    Ok(())
}

fn main() {
    let _ = ship::<1>();
}
