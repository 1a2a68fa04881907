//! The function that web replicas call and that the worker runs: one and the same.

use std::fmt;
use std::time::Duration;

use lock_examples::Replica;
use lock_runtime::{LockError, Outcome, distributed_lock};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

const WORK: Duration = Duration::from_millis(400);

/// What a request asks for. It is stored as JSON where it has to wait.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Change {
    Pack,
    Note(String),
    Wrap { colour: String },
    Address(String),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pack => write!(f, "pack"),
            Self::Note(note) => write!(f, "note \"{note}\""),
            Self::Wrap { colour } => write!(f, "wrap in {colour}"),
            Self::Address(address) => write!(f, "send to {address}"),
        }
    }
}

#[derive(Debug)]
pub(crate) enum ShopError {
    Lock(LockError),
    NoSuchAddress,
}

impl fmt::Display for ShopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lock(error) => error.fmt(f),
            Self::NoSuchAddress => write!(f, "there is no such address"),
        }
    }
}

impl std::error::Error for ShopError {}

impl From<LockError> for ShopError {
    fn from(error: LockError) -> Self {
        Self::Lock(error)
    }
}

/// It may run twice, when a worker dies in the middle of it: so it sets what the order is to be, and adds nothing up.
#[distributed_lock(key = "order:<order>", ttl = "2s", on_conflict = "queue", delay = "500ms", manager = who.locks)]
pub(crate) async fn change(#[state] who: &Replica, order: u64, change: Change) -> Result<Outcome<()>, ShopError> {
    who.says(format_args!("has order {order}, begins: {change}"));
    sleep(WORK).await;
    if let Change::Address(address) = &change
        && address.contains("Nowhere")
    {
        return Err(ShopError::NoSuchAddress);
    }
    who.says(format_args!("is done with it: {change}"));
    Ok(Outcome::Done(()))
}
