//! What is to be generated: options and function compared with each other, no mistakes left.

use crate::args::{OnLost, Policy, Renew};
use proc_macro2::{Span, TokenStream};
use std::time::Duration;
use syn::{Expr, Ident, Path};

/// Everything that the expansion needs besides the function itself.
pub(crate) struct Plan {
    /// `None`: `::lock_runtime`
    pub(crate) krate: Option<Path>,
    pub(crate) spec: Spec,
    pub(crate) key: Key,
    pub(crate) manager: Option<Expr>,
    pub(crate) compensation: Option<Compensation>,
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
