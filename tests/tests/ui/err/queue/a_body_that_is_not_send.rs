use lock_runtime::{LockError, distributed_lock};

#[distributed_lock(key = "order", on_conflict = "queue")]
async fn ship(id: u64) -> Result<(), LockError> {
    let shared = std::rc::Rc::new(id);
    std::future::ready(()).await;
    drop(shared);
    Ok(())
}

fn main() {
    let _ = ship(1);
}
