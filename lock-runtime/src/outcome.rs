//! How a function's return type carries what the lock has to say: an error, or "skipped".

use crate::LockError;

/// What an annotated function answers under `on_conflict = "skip"` when somebody else holds the lock.
///
/// `()` and `Option<_>` have it; implement it for your own type to use it as the `T` of `Result<T, E>`.
///
/// ```
/// enum Nightly { Done { rows: u64 }, Elsewhere }
///
/// impl lock_runtime::Skipped for Nightly {
///     fn skipped() -> Self {
///         Nightly::Elsewhere
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no value for a call that was skipped",
    label = "`on_conflict = \"skip\"` needs `Result<(), E>`, `Result<Option<T>, E>` or a `T` that is `Skipped`",
    note = "write `Result<Option<{Self}>, E>`, or `impl lock_runtime::Skipped for {Self} {{ fn skipped() -> Self {{ … }} }}`"
)]
pub trait Skipped {
    /// The value of a call whose body did not run.
    fn skipped() -> Self;
}

impl Skipped for () {
    fn skipped() -> Self {}
}

impl<T> Skipped for Option<T> {
    fn skipped() -> Self {
        None
    }
}

/// A return type that can carry a [`LockError`]: `Result<T, E>` where `E: From<LockError>`.
#[diagnostic::on_unimplemented(
    message = "a function with #[distributed_lock] must return a `Result`, and `{Self}` is none",
    label = "this type cannot carry a `LockError`",
    note = "write `Result<T, E>` where `E: From<lock_runtime::LockError>`, for example `Result<{Self}, lock_runtime::LockError>`"
)]
pub trait Lockable: Sized {
    /// The refusal as a value of this type.
    fn from_lock_error(error: LockError) -> Self;
}

impl<T, E: CarriesLockError> Lockable for Result<T, E> {
    fn from_lock_error(error: LockError) -> Self {
        Err(E::carry(error))
    }
}

/// A return type that can also say "skipped": `Result<T, E>` where `T: Skipped`.
#[diagnostic::on_unimplemented(
    message = "a function with #[distributed_lock] must return a `Result`, and `{Self}` is none",
    label = "this type cannot carry a `LockError`",
    note = "write `Result<(), E>` or `Result<Option<T>, E>` where `E: From<lock_runtime::LockError>`"
)]
pub trait Skippable: Sized {
    /// The refusal as a value of this type.
    fn from_lock_error(error: LockError) -> Self;
    /// "Somebody else holds the lock" as a value of this type.
    fn skipped() -> Self;
}

impl<T: Skipped, E: CarriesLockError> Skippable for Result<T, E> {
    fn from_lock_error(error: LockError) -> Self {
        Err(E::carry(error))
    }

    fn skipped() -> Self {
        Ok(T::skipped())
    }
}

/// An error type that a [`LockError`] can become. Only a name for `From<LockError>`, so that the compiler's
/// message can say what to write.
#[diagnostic::on_unimplemented(
    message = "the error type `{Self}` cannot be made from a `LockError`",
    label = "needs `{Self}: From<lock_runtime::LockError>`",
    note = "write `impl From<lock_runtime::LockError> for {Self}`, or with thiserror a variant `Lock(#[from] lock_runtime::LockError)`"
)]
pub trait CarriesLockError {
    /// The conversion.
    fn carry(error: LockError) -> Self;
}

#[diagnostic::do_not_recommend]
impl<E: From<LockError>> CarriesLockError for E {
    fn carry(error: LockError) -> Self {
        Self::from(error)
    }
}

/// The ways back into an annotated function's return type, found once at its return type and then passed along,
/// so that a type that has none of them is one compile error and not five.
pub struct Returns<R> {
    /// Makes the return value of a call that was refused.
    pub(crate) refused: fn(LockError) -> R,
    /// Makes the return value of a call that was skipped; `None` under the other policies.
    pub(crate) skipped: Option<fn() -> R>,
}

/// For the policies `"fail"` and `"retry"`.
#[must_use]
pub const fn returns<R: Lockable>() -> Returns<R> {
    Returns {
        refused: R::from_lock_error,
        skipped: None,
    }
}

/// For the policy `"skip"`.
#[must_use]
pub const fn returns_or_skips<R: Skippable>() -> Returns<R> {
    Returns {
        refused: R::from_lock_error,
        skipped: Some(R::skipped),
    }
}

/// Tells the compiler a body's return type, in a branch that is never taken.
#[allow(clippy::empty_loop, reason = "nothing calls it")]
pub const fn never<R>() -> R {
    loop {}
}
