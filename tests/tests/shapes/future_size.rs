//! What the attribute adds to a future: at most a fifth of the plain one and 512 bytes, also when locked
//! functions call each other.

use lock_runtime::{LockError, LostReason, Outcome, distributed_lock};
use std::mem::size_of_val;

type Answer = Result<u64, LockError>;

async fn plain_argument<const N: usize>(id: u64, bytes: [u8; N]) -> Answer {
    tokio::task::yield_now().await;
    Ok(id + u64::from(bytes[0]))
}

#[distributed_lock(key = "size:<id>")]
async fn locked_argument<const N: usize>(id: u64, bytes: [u8; N]) -> Answer {
    tokio::task::yield_now().await;
    Ok(id + u64::from(bytes[0]))
}

#[distributed_lock(
    key = "size:<id>", ttl = "10s", on_conflict = "retry", compensate = undo(id, &reason), reentrant, max_hold = "1m"
)]
async fn locked_with_options<const N: usize>(id: u64, bytes: [u8; N]) -> Answer {
    tokio::task::yield_now().await;
    Ok(id + u64::from(bytes[0]))
}

async fn plain_stored(id: u64, bytes: Vec<u8>, block: Block) -> Result<Outcome<u64>, LockError> {
    tokio::task::yield_now().await;
    Ok(Outcome::Done(id + u64::from(bytes[0]) + block.0[0]))
}

#[distributed_lock(key = "size:<id>", on_conflict = "queue")]
async fn locked_stored(id: u64, bytes: Vec<u8>, block: Block) -> Result<Outcome<u64>, LockError> {
    tokio::task::yield_now().await;
    Ok(Outcome::Done(id + u64::from(bytes[0]) + block.0[0]))
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Block([u64; 32]);

async fn undo(id: u64, _reason: &LostReason) -> Answer {
    Ok(id)
}

async fn plain_local<const N: usize>(id: u64) -> Answer {
    let bytes = [1_u8; N];
    tokio::task::yield_now().await;
    Ok(id + u64::from(bytes[0]))
}

#[distributed_lock(key = "size:one:<id>")]
async fn locked_local<const N: usize>(id: u64) -> Answer {
    let bytes = [1_u8; N];
    tokio::task::yield_now().await;
    Ok(id + u64::from(bytes[0]))
}

async fn plain_two<const N: usize>(id: u64) -> Answer {
    let bytes = [1_u8; N];
    Ok(plain_local::<N>(id).await? + u64::from(bytes[0]))
}

#[distributed_lock(key = "size:two:<id>")]
async fn locked_two<const N: usize>(id: u64) -> Answer {
    let bytes = [1_u8; N];
    Ok(locked_local::<N>(id).await? + u64::from(bytes[0]))
}

async fn plain_three<const N: usize>(id: u64) -> Answer {
    let bytes = [1_u8; N];
    Ok(plain_two::<N>(id).await? + u64::from(bytes[0]))
}

#[distributed_lock(key = "size:three:<id>")]
async fn locked_three<const N: usize>(id: u64) -> Answer {
    let bytes = [1_u8; N];
    Ok(locked_two::<N>(id).await? + u64::from(bytes[0]))
}

/// Prints, so that `--nocapture` shows the numbers.
#[track_caller]
fn assert_small<P: Future, L: Future>(what: &str, plain: P, locked: L) {
    let (plain, locked) = (size_of_val(&plain), size_of_val(&locked));
    println!("{what}: {plain} bytes plain, {locked} bytes locked");
    let limit = plain * 6 / 5 + 512;
    assert!(
        locked <= limit,
        "{what}: {locked} bytes, more than {limit} for a plain future of {plain}"
    );
}

#[test]
fn of_an_argument_that_is_kept() {
    assert_small(
        "argument, 64 bytes",
        plain_argument(1, [0; 64]),
        locked_argument(1, [0; 64]),
    );
    assert_small(
        "argument, 4 KiB",
        plain_argument(1, [0; 4096]),
        locked_argument(1, [0; 4096]),
    );
}

#[test]
fn of_a_local_that_is_kept() {
    assert_small("local, 64 bytes", plain_local::<64>(1), locked_local::<64>(1));
    assert_small("local, 4 KiB", plain_local::<4096>(1), locked_local::<4096>(1));
}

#[test]
fn with_a_compensation() {
    assert_small(
        "compensation, 64 bytes",
        plain_argument(1, [0; 64]),
        locked_with_options(1, [0; 64]),
    );
    assert_small(
        "compensation, 4 KiB",
        plain_argument(1, [0; 4096]),
        locked_with_options(1, [0; 4096]),
    );
}

#[test]
fn of_three_locked_functions_that_call_each_other() {
    assert_small("three deep, 64 bytes", plain_three::<64>(1), locked_three::<64>(1));
    assert_small("three deep, 4 KiB", plain_three::<4096>(1), locked_three::<4096>(1));
}

#[test]
fn of_an_argument_that_may_be_stored() {
    assert_small(
        "stored argument, 256 bytes",
        plain_stored(1, Vec::new(), Block([0; 32])),
        locked_stored(1, Vec::new(), Block([0; 32])),
    );
}
