//! One error, however much the function is used.

use lock_runtime::{LockError, distributed_lock};

#[distributed_lock(key = "order:<id>", tll = "10s")]
pub async fn ship<T: Clone>(id: u64, list: &[T]) -> Result<Vec<T>, LockError> {
    let _ = id;
    Ok(list.to_vec())
}

pub async fn caller() -> Result<u8, LockError> {
    let list: Vec<u8> = ship(1, &[1, 2]).await?;
    Ok(list[0])
}

fn main() {
    let _ = caller();
}
