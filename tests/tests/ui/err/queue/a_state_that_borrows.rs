use lock_runtime::{LockError, distributed_lock};

struct Db<'a>(&'a str);

#[distributed_lock(key = "order", on_conflict = "queue")]
async fn ship(#[state] db: &Db<'_>) -> Result<(), LockError> {
    let _ = db.0;
    Ok(())
}

fn main() {
    let _ = ship(&Db(""));
}
