use lock_runtime::{LockError, distributed_lock};
use std::borrow::Cow;

#[distributed_lock(key = "order", on_conflict = "queue")]
async fn ship(note: Cow<'_, str>) -> Result<(), LockError> {
    let _ = note;
    Ok(())
}

fn main() {
    let _ = ship(Cow::Borrowed(""));
}
