//! Public types and futures go where tokio's tasks go.

use lock_runtime::{
    Fence, Holder, Key, Lease, LockError, LockGuard, LockManager, LockManagerBuilder, LockRequest, LostReason,
    distributed_lock,
};
use std::time::Duration;

fn send<T: Send>() {}
fn sync<T: Sync>() {}
fn unpin<T: Unpin>() {}
fn owned<T: 'static>() {}
fn send_value<T: Send>(_: T) {}

macro_rules! types {
    ($($name:ident: $ty:ty;)*) => {
        $(#[test]
        fn $name() {
            send::<$ty>();
            sync::<$ty>();
            unpin::<$ty>();
            owned::<$ty>();
        })*
    };
}

types! {
    builder: LockManagerBuilder;
    error: LockError;
    fence: Fence;
    guard: LockGuard;
    holder: Holder;
    key: Key;
    lease: Lease;
    lost_reason: LostReason;
    manager: LockManager;
    request: LockRequest;
}

#[test]
fn every_future() {
    let manager = LockManager::in_memory();
    send_value(LockManager::connect("memory://"));
    send_value(LockManager::builder().url("memory://").connect());
    send_value(manager.inspect("key"));
    send_value(manager.force_release("key"));
    send_value(manager.shutdown(Duration::ZERO));
    send_value(manager.lock("key").acquire());
    send_value(manager.lock("key").try_acquire());
    send_value(manager.lock("key").run(std::future::ready(1)));
    send_value(|guard: LockGuard| send_value(guard.release()));
    send_value(|lease: Lease| send_value(lease.lost()));
}

#[test]
fn the_future_of_an_annotated_function() {
    #[distributed_lock(key = "send:<id>", on_conflict = "retry", compensate = undo(id))]
    async fn ship(id: u64, text: &str) -> Result<usize, LockError> {
        tokio::task::yield_now().await;
        Ok(text.len())
    }
    async fn undo(_: u64) -> Result<usize, LockError> {
        Ok(0)
    }
    send_value(ship(1, "a"));
}

/// A body that is not `Send` is no mistake: its future runs where it is.
#[test]
fn a_body_that_is_not_send() {
    #[distributed_lock(key = "send:local")]
    async fn ship() -> Result<usize, LockError> {
        let local = std::rc::Rc::new(1);
        tokio::task::yield_now().await;
        Ok(*local)
    }
    assert_eq!(crate::run(ship()).unwrap(), 1);
}

#[test]
fn a_future_of_a_lease_or_a_guard_borrows_or_owns_only_that() {
    fn is_send(_: &(impl Send + ?Sized)) {}
    crate::run(async {
        let guard = LockManager::in_memory().lock("key").acquire().await.unwrap();
        let lease = guard.lease().clone();
        is_send(&lease.lost());
        let release = guard.release();
        is_send(&release);
        release.await.unwrap();
    });
}
