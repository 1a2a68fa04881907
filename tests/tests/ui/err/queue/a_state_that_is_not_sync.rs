use lock_runtime::{LockError, distributed_lock};
use std::cell::Cell;

struct Db(Cell<u8>);

#[distributed_lock(key = "order", on_conflict = "queue")]
async fn ship(#[state] db: &Db) -> Result<(), LockError> {
    let _ = db.0.get();
    Ok(())
}

fn main() {
    let _ = ship(&Db(Cell::new(1)));
}
