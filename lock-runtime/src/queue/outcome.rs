//! How a function's return type says "stored, and run later".

use super::Ticket;
use crate::LockError;
use crate::outcome::{CarriesLockError, Lockable};

/// What an annotated function answers under `on_conflict = "queue"` when somebody else holds the lock: the call is
/// stored, and a worker runs it later.
///
/// `()` and [`Outcome<_>`](Outcome) have it; implement it for your own type to use it as the `T` of `Result<T, E>`.
///
/// ```
/// use lock_runtime::{Queued, Ticket};
///
/// enum Accepted { Shipped { parcels: u32 }, Later(Ticket) }
///
/// impl Queued for Accepted {
///     fn queued(ticket: Ticket) -> Self {
///         Accepted::Later(ticket)
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no value for a call that was stored to run later",
    label = "`on_conflict = \"queue\"` needs `Result<(), E>`, `Result<Outcome<T>, E>` or a `T` that is `Queued`",
    note = "write `Result<lock_runtime::Outcome<{Self}>, E>`, or `impl lock_runtime::Queued for {Self} {{ fn queued(ticket: lock_runtime::Ticket) -> Self {{ … }} }}`"
)]
pub trait Queued {
    /// The value of a call whose body did not run yet.
    fn queued(ticket: Ticket) -> Self;
}

impl Queued for () {
    fn queued(_: Ticket) -> Self {}
}

impl<T> Queued for Outcome<T> {
    fn queued(ticket: Ticket) -> Self {
        Self::Queued(ticket)
    }
}

/// What became of a call under `on_conflict = "queue"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome<T> {
    /// The lock was free, and the body ran.
    Done(T),
    /// Somebody else held the lock; the call is stored under this ticket.
    Queued(Ticket),
}

impl<T> Outcome<T> {
    /// The body's value, if it ran.
    pub fn done(self) -> Option<T> {
        match self {
            Self::Done(value) => Some(value),
            Self::Queued(_) => None,
        }
    }

    /// The ticket, if the call was stored.
    pub const fn ticket(&self) -> Option<Ticket> {
        match self {
            Self::Done(_) => None,
            Self::Queued(ticket) => Some(*ticket),
        }
    }
}

/// A return type that can also say "stored": `Result<T, E>` where `T: Queued`.
#[diagnostic::on_unimplemented(
    message = "a function with #[distributed_lock] must return a `Result`, and `{Self}` is none",
    label = "this type cannot carry a `LockError`",
    note = "write `Result<(), E>` or `Result<Outcome<T>, E>` where `E: From<lock_runtime::LockError>`"
)]
pub trait Queueable: Sized {
    /// The refusal as a value of this type.
    fn from_lock_error(error: LockError) -> Self;
    /// "Stored to run later" as a value of this type.
    fn queued(ticket: Ticket) -> Self;
}

impl<T: Queued, E: CarriesLockError> Queueable for Result<T, E> {
    fn from_lock_error(error: LockError) -> Self {
        <Self as Lockable>::from_lock_error(error)
    }

    fn queued(ticket: Ticket) -> Self {
        Ok(T::queued(ticket))
    }
}

/// The ways back into the return type of a function whose calls may be stored.
pub struct ReturnsLater<R> {
    pub(super) refused: fn(LockError) -> R,
    pub(super) queued: fn(Ticket) -> R,
}

/// For the policy `"queue"`.
#[must_use]
pub const fn returns_or_queues<R: Queueable>() -> ReturnsLater<R> {
    ReturnsLater {
        refused: R::from_lock_error,
        queued: R::queued,
    }
}
