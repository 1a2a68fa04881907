use lock_runtime::{LockError, distributed_lock};

struct Shop(u64);

impl Shop {
    #[distributed_lock(key = "shop:<self.0>", compensate = self.undo())]
    async fn ship(&mut self) -> Result<(), LockError> {
        self.0 += 1;
        Ok(())
    }

    async fn undo(&self) -> Result<(), LockError> {
        Ok(())
    }
}

fn main() {
    let _ = Shop(1).ship();
    let _ = Shop(1).undo();
}
