use lock_runtime::{LockError, distributed_lock};

#[derive(serde::Serialize, serde::Deserialize)]
enum Side {
    Left,
}

#[distributed_lock(key = "order", on_conflict = "queue")]
async fn ship(#[serde(default)] side: Side) -> Result<(), LockError> {
    let _ = side;
    Ok(())
}

fn main() {
    let _ = ship(Side::Left);
}
