//! What is to be generated: options and function compared with each other, no mistakes left.

use crate::args::{OnLost, Policy, Renew};
use proc_macro2::{Span, TokenStream};
use std::time::Duration;
use syn::{Expr, ExprPath, Ident, LitStr, Path, Type};

/// Everything that the expansion needs besides the function itself.
pub(crate) struct Plan {
    /// `None`: `::lock_runtime`
    pub(crate) krate: Option<Path>,
    pub(crate) spec: Spec,
    pub(crate) key: Key,
    pub(crate) manager: Option<Expr>,
    pub(crate) compensation: Option<Compensation>,
    /// With `on_conflict = "queue"`.
    pub(crate) later: Option<Later>,
}

/// The options that are constants.
pub(crate) struct Spec {
    pub(crate) policy: Policy,
    pub(crate) ttl: Option<Duration>,
    pub(crate) wait: Option<Duration>,
    pub(crate) backoff: Option<(Duration, Duration)>,
    pub(crate) renew: Option<Renew>,
    pub(crate) max_hold: Option<Duration>,
    pub(crate) hold_at_least: Option<Duration>,
    pub(crate) on_lost: OnLost,
    pub(crate) reentrant: bool,
}

/// How the key is made.
pub(crate) enum Key {
    /// Where the template stands, for the errors of its values.
    Template(Span, Vec<KeyPart>),
    Expression(Expr),
}

/// A stretch of a template.
pub(crate) enum KeyPart {
    Literal(String),
    /// An expression that borrows the value.
    Value(TokenStream),
}

/// A compensation and what it needs.
pub(crate) struct Compensation {
    pub(crate) call: TokenStream,
    /// Where errors about its type belong.
    pub(crate) span: Span,
    /// The parameters to clone before the body starts: as the call names them, and the name that the
    /// clone gets. They differ for `self` alone, which cannot be bound.
    pub(crate) kept: Vec<(Ident, Ident)>,
    /// The token `reason`, if the call uses it.
    pub(crate) reason: Option<Ident>,
}

/// How a call is stored and run later.
pub(crate) struct Later {
    /// Where `"queue"` stands: errors that say what the policy asks of the function belong there.
    pub(crate) at: Span,
    pub(crate) delay: Duration,
    pub(crate) attempts: u32,
    /// Every parameter, in the order of the signature.
    pub(crate) arguments: Vec<Argument>,
}

/// Where a stored call gets one of its arguments from.
pub(crate) enum Argument {
    /// The worker has a value of this type, and lends it.
    State(Box<Type>),
    /// It is stored.
    Stored(Box<Stored>),
}

/// A parameter whose value is stored.
pub(crate) struct Stored {
    pub(crate) name: Ident,
    pub(crate) ty: Type,
    /// Names that it had in earlier versions.
    pub(crate) aliases: Vec<LitStr>,
    pub(crate) default: Option<Missing>,
}

/// The value of a parameter that a call was stored without.
pub(crate) enum Missing {
    /// That of the type; where the word stands.
    Default(Span),
    /// What this function gives.
    Path(ExprPath),
}
