//! errors: 6

use lock_runtime::distributed_lock;

#[distributed_lock(tll = "10s", key = "order:<nam>", ttl = "0s", on_conflict = "retri", renew = true)]
async fn ship(name: &str) {
    let _ = name;
}

fn main() {
    let _ = ship("a");
}
