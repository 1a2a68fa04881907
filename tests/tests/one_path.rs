//! Two functions under one path, which only the finished program can tell: its workers refuse to start. (A program of
//! its own, because no worker of it ever starts.)

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails, and says why"
)]

use lock_runtime::{LockError, LockManager, Outcome};

/// A function by the name of `job`.
async fn weekly(locks: &LockManager) -> Result<Outcome<u8>, LockError> {
    #[lock_runtime::distributed_lock(key = "job", on_conflict = "queue", manager = locks)]
    async fn job(#[state] locks: &LockManager) -> Result<Outcome<u8>, LockError> {
        let _ = locks;
        Ok(Outcome::Done(7))
    }
    job(locks).await
}

/// Another one in the same module.
async fn monthly(locks: &LockManager) -> Result<Outcome<u8>, LockError> {
    #[lock_runtime::distributed_lock(key = "job", on_conflict = "queue", manager = locks)]
    async fn job(#[state] locks: &LockManager) -> Result<Outcome<u8>, LockError> {
        let _ = locks;
        Ok(Outcome::Done(30))
    }
    job(locks).await
}

#[tokio::test]
async fn a_worker_refuses_to_start_when_two_functions_have_one_path_and_names_it() {
    let locks = LockManager::in_memory();
    let worker = locks.worker().state(locks.clone());
    let refused = worker.run_until(std::future::pending::<()>()).await;
    let Err(error @ LockError::InvalidWorker { .. }) = refused else {
        panic!("{refused:?}");
    };
    let text = error.to_string();
    assert!(
        text.contains("one_path::job") && text.contains("another name"),
        "{text}"
    );
}

#[tokio::test]
async fn direct_callers_are_told_apart_by_the_compiler_and_may_go_on() {
    let locks = LockManager::in_memory();
    assert_eq!(weekly(&locks).await.unwrap(), Outcome::Done(7));
    assert_eq!(monthly(&locks).await.unwrap(), Outcome::Done(30));
}
