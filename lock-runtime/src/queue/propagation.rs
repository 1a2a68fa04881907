//! The trace that a call belongs to, carried from where it is stored to where it is run.

use std::collections::BTreeMap;

use tracing::Span;

/// Carries the context of a distributed trace through the queue, for a tracing system that has one to give.
///
/// `tracing` itself knows no context that another process could use, so this is the bridge to what does: with
/// OpenTelemetry, `inject` calls the propagator's `inject_context` for the current context, and `extract` its `extract`,
/// and makes what it found the parent of (or a link of) the span.
///
/// ```
/// use std::collections::BTreeMap;
///
/// use lock_runtime::TracePropagation;
///
/// struct RequestId;
///
/// impl TracePropagation for RequestId {
///     fn inject(&self, carrier: &mut BTreeMap<String, String>) {
///         carrier.insert("request-id".to_owned(), "of the request that is served here".to_owned());
///     }
///
///     fn extract(&self, carrier: &BTreeMap<String, String>, span: &tracing::Span) {
///         if let Some(id) = carrier.get("request-id") {
///             span.in_scope(|| tracing::info!(id, "stored by"));
///         }
///     }
/// }
///
/// # async fn connect() -> Result<(), lock_runtime::LockError> {
/// let locks = lock_runtime::LockManager::builder()
///     .url("memory://")
///     .trace_propagation(RequestId)
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
pub trait TracePropagation: Send + Sync + 'static {
    /// Writes the current context into `carrier`, when a call is stored. Runs in the caller's span.
    fn inject(&self, carrier: &mut BTreeMap<String, String>);

    /// Joins `span`, which is about to be entered for a run of the call, to the context in `carrier`.
    fn extract(&self, carrier: &BTreeMap<String, String>, span: &Span);
}
