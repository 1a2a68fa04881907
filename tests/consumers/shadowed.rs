//! Functions where no name means what it usually does.

#![allow(dead_code)] // the names need only be there

use locks::distributed_lock;

mod core {}
mod std {}
mod alloc {}
mod locks_too {}
struct Result;
struct Option;
struct Box;
struct String;
struct Pin;
struct Duration;
struct Call;
struct Spec;
trait Clone {}
trait Future {}
trait From {}

/// Ships.
///
/// # Errors
///
/// When the lock cannot be had.
#[distributed_lock(
    key = "shadowed:<id>", ttl = "10s", on_conflict = "retry", backoff = "1ms..2ms", compensate = undo(id, &reason),
    crate = ::locks
)]
pub async fn ship(id: u8, _: u8) -> ::std::result::Result<u8, ::locks::LockError> {
    ::std::future::ready(()).await;
    return ::std::result::Result::Ok(id);
}

async fn undo(id: u8, reason: &::locks::LostReason) -> ::std::result::Result<u8, ::locks::LockError> {
    let _reason = ::std::future::ready(reason).await;
    return ::std::result::Result::Ok(id);
}

/// Without any prelude.
pub mod bare {
    #![no_implicit_prelude]

    /// Ships.
    ///
    /// # Errors
    ///
    /// When the lock cannot be had.
    #[::locks::distributed_lock(key = "bare:<id>", on_conflict = "skip", crate = ::locks)]
    pub async fn ship(id: u8, (_, _): (u8, u8)) -> ::std::result::Result<(), ::locks::LockError> {
        let _id = ::std::future::ready(id).await;
        return ::std::result::Result::Ok(());
    }
}
