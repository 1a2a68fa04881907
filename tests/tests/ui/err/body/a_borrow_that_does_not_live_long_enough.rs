use lock_runtime::{LockError, distributed_lock};

#[distributed_lock(key = "order:<id>")]
async fn ship(id: u64) -> Result<(), LockError> {
    let borrowed;
    {
        let short = id.to_string();
        borrowed = &short;
    }
    drop(borrowed.len() == 1);
    Ok(())
}

fn main() {
    let _ = ship(1);
}
