//! Running a body under a hold: polled inside the hold's scope while the lease is valid, and not once more after.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use crate::LostReason;
use crate::ownership::Ownership;
use crate::scope;
use crate::terms::OnLost;

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
    let hold = ownership.hold();
    let mut lost = pin!(hold.lost());
    // From here on a loss wakes this task, also one that comes between two polls.
    lost.as_mut().enable();
    let lost_now = || match on_lost {
        OnLost::Abort => hold.lost_reason(),
        OnLost::Continue => None,
    };
    poll_fn(move |context| {
        if let Some(reason) = lost_now() {
            return Poll::Ready(Err(reason));
        }
        let polled = hold
            .telemetry
            .span()
            .in_scope(|| scope::within(ownership, || body.as_mut().poll(context)));
        // Asked again: a body that blocked its thread past the deadline has not finished under the lock.
        match (polled, lost_now()) {
            (_, Some(reason)) => Poll::Ready(Err(reason)),
            (Poll::Ready(output), None) => Poll::Ready(Ok(output)),
            (Poll::Pending, None) => {
                if on_lost == OnLost::Abort && lost.as_mut().poll(context).is_ready() {
                    // Lost since the line above; the next poll finds the reason.
                    context.waker().wake_by_ref();
                }
                Poll::Pending
            }
        }
    })
    .await
}
