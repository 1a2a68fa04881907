//! The missing key is an error of its own.
//! errors: 2

use lock_runtime::{LockError, distributed_lock};

#[distributed_lock("order:<id>", ttl = "10s")]
async fn ship(id: u64) -> Result<(), LockError> {
    let _ = id;
    Ok(())
}

fn main() {
    let _ = ship(1);
}
