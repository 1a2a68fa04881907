//! Running a body under a hold: polled inside the hold's scope while the lease is valid, and not once more after.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::LostReason;
use crate::backend::BoxFuture;
use crate::ownership::Ownership;
use crate::scope;
use crate::terms::OnLost;

/// How a body hears of the loss of its lease.
pub(crate) enum Watch {
    /// Nothing was polled yet. True: the lease was granted in this very moment, and is valid.
    New(bool),
    /// The body has paused, and the hold has its waker.
    Registered,
    /// As above, for one that has joined the hold of another. Boxed, because it would be in every future of every
    /// annotated function, and again in each that calls it.
    Listens(BoxFuture<'static, ()>),
}

/// Polls `body` to its end. `Err`: the lease was lost before that, and the body must be dropped.
///
/// Under [`OnLost::Continue`] it is always polled to its end.
///
/// Cancel safe as far as the body is: dropping this leaves the hold to its owner.
pub(crate) async fn under<F: Future>(
    ownership: &mut Option<Ownership>,
    on_lost: OnLost,
    mut body: Pin<&mut F>,
) -> Result<F::Output, LostReason> {
    let mut watch = Watch::New(false);
    poll_fn(|context| {
        let mut output = Poll::Pending;
        match ready!(poll(
            ownership,
            on_lost,
            &mut watch,
            body.as_mut(),
            context,
            &mut output
        )) {
            None => output.map(Ok),
            Some(reason) => Poll::Ready(Err(reason)),
        }
    })
    .await
}

/// One poll of [`under`]. Ready with the `output`, or with why there is none. The body's type is of no matter, so that
/// this is compiled once for each type of output; which is put where it is to stay, because it may be large.
pub(crate) fn poll<T>(
    ownership: &mut Option<Ownership>,
    on_lost: OnLost,
    watch: &mut Watch,
    body: Pin<&mut dyn Future<Output = T>>,
    context: &mut Context<'_>,
    output: &mut Poll<T>,
) -> Poll<Option<LostReason>> {
    let aborts = on_lost == OnLost::Abort;
    let is_fresh = matches!(watch, Watch::New(true));
    if is_fresh {
        *watch = Watch::New(false);
    } else if aborts && let Some(reason) = ownership.as_ref().and_then(|part| part.hold().lost_reason()) {
        return Poll::Ready(Some(reason));
    }
    let span = ownership.as_ref().and_then(|part| part.hold().telemetry.span());
    let poll = || scope::within(ownership, || *output = body.poll(context));
    match span {
        None => poll(),
        Some(span) => span.in_scope(poll),
    }
    let Some(part) = ownership.as_ref() else {
        // There is one whenever a body is polled.
        return if output.is_ready() {
            Poll::Ready(None)
        } else {
            Poll::Pending
        };
    };
    let hold = part.hold();
    match output {
        // Asked again: a body that blocked its thread past the deadline has not finished under the lock.
        Poll::Ready(_) => {
            if let Watch::Registered = watch {
                // A lease may keep the hold for long, and is not to keep the task.
                drop(hold.body.take());
            }
            let lost = hold.lost_when_finished().filter(|_| aborts);
            if lost.is_some() {
                *output = Poll::Pending;
            }
            Poll::Ready(lost)
        }
        Poll::Pending if aborts => {
            watch.listen(part, context);
            // A loss that was noticed before it was listened for has woken nobody.
            hold.loss_noticed()
                .map_or(Poll::Pending, |reason| Poll::Ready(Some(reason)))
        }
        Poll::Pending => Poll::Pending,
    }
}

impl Watch {
    /// From here on a loss wakes the task.
    fn listen(&mut self, part: &Ownership, context: &mut Context<'_>) {
        if part.is_first() {
            part.hold().body.register(context.waker());
            *self = Self::Registered;
            return;
        }
        if !matches!(self, Self::Listens(_)) {
            let lease = part.lease().clone();
            *self = Self::Listens(Box::pin(async move { lease.hold().lost().await }));
        }
        if let Self::Listens(lost) = self
            && lost.as_mut().poll(context).is_ready()
        {
            // The hold says why by now.
            *self = Self::New(false);
        }
    }
}
