use lock_runtime::{LockError, distributed_lock};

fn is_send<T: Send>(_: T) {}

#[distributed_lock(key = "order:<id>")]
async fn ship(id: u64) -> Result<(), LockError> {
    let shared = std::rc::Rc::new(id);
    std::future::ready(()).await;
    drop(shared);
    Ok(())
}

fn main() {
    is_send(ship(1));
}
