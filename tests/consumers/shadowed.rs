//! Functions where no name means what it usually does.

#![allow(dead_code, unused_macros)] // the names need only be there

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
struct Function;
struct Parameter;
struct Arguments;
struct Execution;
struct State;
trait Default {}
trait Send {}
trait Clone {}
trait Future {}
trait From {}

macro_rules! concat {
    () => {};
}
macro_rules! module_path {
    () => {};
}
macro_rules! submit {
    () => {};
}

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

/// Ships now or later.
///
/// # Errors
///
/// When the lock cannot be had.
#[distributed_lock(key = "queued:<id>", on_conflict = "queue", crate = ::locks)]
pub async fn queued(
    #[serde(default)] id: u8,
    #[state] name: &::std::string::String,
) -> ::std::result::Result<(), ::locks::LockError> {
    let _name = ::std::future::ready((id, name)).await;
    return ::std::result::Result::Ok(());
}

/// Without any prelude.
pub mod bare {
    #![no_implicit_prelude]

    /// Ships now or later.
    ///
    /// # Errors
    ///
    /// When the lock cannot be had.
    #[::locks::distributed_lock(key = "queued:<id>", on_conflict = "queue", crate = ::locks)]
    pub async fn queued(
        #[serde(default)] id: u8,
        #[state] name: &::std::string::String,
    ) -> ::std::result::Result<(), ::locks::LockError> {
        let _name = ::std::future::ready((id, name)).await;
        return ::std::result::Result::Ok(());
    }

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
