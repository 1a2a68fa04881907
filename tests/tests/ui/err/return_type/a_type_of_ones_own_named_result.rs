use lock_runtime::distributed_lock;

struct Result;

#[distributed_lock(key = "order:<id>")]
async fn ship(id: u64) -> Result {
    let _ = id;
    Result
}

fn main() {
    let _ = ship(1);
}
