//! Running a body under a hold: polled inside the hold's scope while the lease is valid, and not once more after.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::LostReason;
use crate::backend::BoxFuture;
use crate::ownership::Ownership;
use crate::scope;
use crate::terms::OnLost;

/// Hears of the loss of the lease that a body runs under, from its first pause on. Boxed, because it would be in every
/// future of every annotated function, and again in each that calls it.
#[derive(Default)]
pub(crate) struct Watch(Option<BoxFuture<'static, ()>>);

/// Polls `body` to its end. `Err`: the lease was lost before that, and the body must be dropped.
///
/// Under [`OnLost::Continue`] it is always polled to its end.
///
/// Cancel safe as far as the body is: dropping this leaves the hold to its owner.
pub(crate) async fn under<F: Future>(
    ownership: &Arc<Ownership>,
    on_lost: OnLost,
    mut body: Pin<&mut F>,
) -> Result<F::Output, LostReason> {
    let mut watch = Watch::default();
    poll_fn(|context| poll(ownership, on_lost, &mut watch, body.as_mut(), context)).await
}

/// One poll of [`under`]. The body's type is of no matter, so that this is compiled once for each type of output.
pub(crate) fn poll<T>(
    ownership: &Arc<Ownership>,
    on_lost: OnLost,
    watch: &mut Watch,
    body: Pin<&mut dyn Future<Output = T>>,
    context: &mut Context<'_>,
) -> Poll<Result<T, LostReason>> {
    let hold = ownership.hold();
    let lost_now = || match on_lost {
        OnLost::Abort => hold.lost_reason(),
        OnLost::Continue => None,
    };
    if let Some(reason) = lost_now() {
        return Poll::Ready(Err(reason));
    }
    let polled = hold
        .telemetry
        .in_span(|| scope::within(ownership, || body.poll(context)));
    if polled.is_pending() && on_lost == OnLost::Abort && watch.poll(ownership, context).is_ready() {
        // Lost since the line above; the next poll finds the reason.
        context.waker().wake_by_ref();
    }
    // Asked again: a body that blocked its thread past the deadline has not finished under the lock; and a loss that
    // came before it was watched for has woken nobody.
    match (polled, lost_now()) {
        (_, Some(reason)) => Poll::Ready(Err(reason)),
        (Poll::Ready(output), None) => Poll::Ready(Ok(output)),
        (Poll::Pending, None) => Poll::Pending,
    }
}

impl Watch {
    fn poll(&mut self, ownership: &Arc<Ownership>, context: &mut Context<'_>) -> Poll<()> {
        let watch = self.0.get_or_insert_with(|| {
            let hold = Arc::clone(ownership.hold());
            Box::pin(async move { hold.lost().await })
        });
        watch.as_mut().poll(context)
    }
}
