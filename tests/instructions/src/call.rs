//! So many calls on the in-process backend: `call <kind> <count>`.

use std::hint::black_box;
use std::process::ExitCode;

use lock_runtime::{LockError, LockManager, distributed_lock};
use tokio::runtime::Builder;
use tokio::task::{JoinHandle, yield_now};

/// How many tasks want one lock at a time.
const TASKS: u64 = 8;

#[distributed_lock(key = "order:<id>", on_conflict = "retry", manager = locks)]
async fn locked(locks: &LockManager, id: u64) -> Result<u64, LockError> {
    Ok(black_box(id))
}

#[distributed_lock(key = "order:<id>", on_conflict = "retry", wait = "10m", manager = locks)]
async fn pausing(locks: &LockManager, id: u64) -> Result<u64, LockError> {
    yield_now().await;
    Ok(black_box(id))
}

/// Nobody else wants the lock.
async fn alone(locks: LockManager, count: u64) -> Result<(), LockError> {
    for number in 0..count {
        locked(&locks, number % 64).await?;
    }
    Ok(())
}

/// By hand, without the attribute.
async fn guards(locks: LockManager, count: u64) -> Result<(), LockError> {
    for number in 0..count {
        let guard = locks.lock(format!("order:{}", number % 64)).acquire().await?;
        black_box(guard.fence());
        guard.release().await?;
    }
    Ok(())
}

/// Each call passes the lock on to the next task.
async fn passed_on(locks: LockManager, count: u64) -> Result<(), LockError> {
    let task = |locks: LockManager| async move {
        for _ in 0..count / TASKS {
            pausing(&locks, 1).await?;
        }
        Ok(())
    };
    let tasks: Vec<JoinHandle<Result<(), LockError>>> = (0..TASKS).map(|_| tokio::spawn(task(locks.clone()))).collect();
    for task in tasks {
        // A panic in a task is one here, and the count is none.
        task.await.unwrap_or(Ok(()))?;
    }
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [kind, count] = &arguments[..] else {
        return ExitCode::FAILURE;
    };
    let (Ok(count), Ok(runtime)) = (count.parse(), Builder::new_current_thread().enable_time().build()) else {
        return ExitCode::FAILURE;
    };
    let locks = LockManager::in_memory();
    let outcome = match kind.as_str() {
        "alone" => runtime.block_on(alone(locks, count)),
        "guard" => runtime.block_on(guards(locks, count)),
        "passed-on" => runtime.block_on(passed_on(locks, count)),
        _ => return ExitCode::FAILURE,
    };
    if outcome.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
