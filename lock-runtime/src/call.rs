//! What an annotated function becomes: one [`Call`] that is given a key and runs the body.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use crate::backend::BoxFuture;
use crate::body::Watch;
use crate::complete::Slot;
use crate::manager::{Acquiring, Asked, Begun};
use crate::outcome::{Lockable, Returns, Skippable, returns, returns_or_skips};
use crate::ownership::{Ending, Ownership};
use crate::release::ReleaseEnd;
use crate::template::{KeyValue, ManagerRef, Template};
use crate::terms::{OnConflict, OnLost, Spec};
use crate::{Key, LockError, LockManager, LostReason, body};

/// One call of an annotated function. Declared before the body, so that the body and its parameters are dropped
/// first and the lock is released after them, whichever way the call ends.
pub struct Call<R> {
    spec: &'static Spec,
    returns: Returns<R>,
    /// Ours while the body runs. Its drop releases.
    ownership: Option<Ownership>,
    /// What goes on beside the body.
    aside: Aside<R>,
}

/// What a call waits for, apart from its body. Both are boxed, because what they keep would be in every future of every
/// annotated function, and again in each that calls it. The manager is a trait object for the same reason as the hold
/// in a [`Lease`](crate::Lease).
enum Aside<R> {
    /// For nothing yet: it has not begun.
    Begin {
        key: Option<Template>,
        /// Instead of the installed one.
        manager: Option<Arc<dyn Asked>>,
    },
    /// For the lock.
    Acquiring(Acquiring),
    /// For a loss of the lease.
    Watch(Watch),
    /// For the release; then this is the output.
    Releasing(BoxFuture<'static, ()>, Box<R>),
    /// For nothing any more.
    Over,
}

/// A call of a function that returns `R`, under the policies `"fail"` and `"retry"`.
#[must_use]
pub const fn call<R: Lockable>(spec: &'static Spec) -> Call<R> {
    Call::new(spec, returns())
}

/// The same under the policy `"skip"`.
#[must_use]
pub const fn call_or_skip<R: Skippable>(spec: &'static Spec) -> Call<R> {
    Call::new(spec, returns_or_skips())
}

/// How the body of a call ended.
pub enum Ended<R> {
    /// With its output.
    Finished(R),
    /// It was stopped, because the lease was lost; it must be dropped by now.
    Lost {
        /// The lock that was held.
        key: Key,
        /// Why it is not held any more.
        reason: LostReason,
    },
    /// It never ran.
    Refused(R),
}

impl<R> Call<R> {
    /// A call that holds nothing yet.
    #[must_use]
    pub const fn new(spec: &'static Spec, returns: Returns<R>) -> Self {
        Self {
            spec,
            returns,
            ownership: None,
            aside: Aside::Begin {
                key: None,
                manager: None,
            },
        }
    }

    /// The lock to take.
    pub fn key(&mut self, wanted: Key) {
        if let Aside::Begin { key, .. } = &mut self.aside {
            *key = Some(Template::of(wanted));
        }
    }

    /// Adds a template's literal text to the lock to take, as it is.
    pub fn text(&mut self, text: &str) {
        if let Some(key) = self.template() {
            key.text(text);
        }
    }

    /// Adds literal text, and behind it a placeholder's value, encoded. One call, because most keys are one such pair.
    pub fn part<V: KeyValue + ?Sized>(&mut self, text: &str, value: &V) {
        if let Some(key) = self.template() {
            key.part(text, value);
        }
    }

    fn template(&mut self) -> Option<&mut Template> {
        match &mut self.aside {
            Aside::Begin { key, .. } => Some(key.get_or_insert_default()),
            _ => None,
        }
    }

    /// The manager to ask instead of the installed one.
    pub fn manager<M: ManagerRef + ?Sized>(&mut self, asked: &M) {
        if let Aside::Begin { manager, .. } = &mut self.aside {
            let LockManager(shared) = asked.manager().clone();
            *manager = Some(shared);
        }
    }

    /// Acquires the lock and polls `body` under it.
    ///
    /// Not an `async fn`: what is compiled for each body is one call.
    pub fn run<'a, F: Future<Output = R>>(&'a mut self, body: Pin<&'a mut F>) -> impl Future<Output = Ended<R>> {
        Run { call: self, body }
    }

    /// One poll of [`Complete`](crate::complete::Complete).
    pub(crate) fn poll_complete(&mut self, body: &mut dyn Slot<R>, context: &mut Context<'_>) -> Poll<R> {
        if let Some(running) = body.running() {
            let ended = ready!(self.poll_run(running, context));
            body.clear();
            if let Some(output) = self.release_after(ended) {
                return Poll::Ready(output);
            }
        }
        self.poll_release(context)
    }

    /// The body is dropped by now. The output, or `None`: the release is waited for.
    fn release_after(&mut self, ended: Ended<R>) -> Option<R> {
        let ending = self.ownership.take().and_then(|mut ownership| ownership.end());
        let confirmed = awaited(ending, &ended);
        let output = match ended {
            Ended::Finished(output) | Ended::Refused(output) => output,
            Ended::Lost { key, reason } => (self.returns.refused)(LockError::Lost { key, reason }),
        };
        let Some(ending) = confirmed else {
            self.aside = Aside::Over;
            return Some(output);
        };
        self.aside = Aside::Releasing(Box::pin(confirm(ending)), Box::new(output));
        None
    }

    fn poll_release(&mut self, context: &mut Context<'_>) -> Poll<R> {
        if let Aside::Releasing(releasing, _) = &mut self.aside {
            ready!(releasing.as_mut().poll(context));
        }
        match std::mem::replace(&mut self.aside, Aside::Over) {
            Aside::Releasing(_, output) => Poll::Ready(*output),
            // Polled after it was ready, which `.await` never does.
            Aside::Begin { .. } | Aside::Acquiring(_) | Aside::Watch(_) | Aside::Over => Poll::Pending,
        }
    }

    fn poll_run(&mut self, body: Pin<&mut dyn Future<Output = R>>, context: &mut Context<'_>) -> Poll<Ended<R>> {
        if !matches!(self.aside, Aside::Watch(_)) {
            match self.poll_hold(context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Ended::Refused(self.refuse(error))),
                Poll::Pending => return Poll::Pending,
            }
        }
        self.poll_held(body, context)
    }

    /// Acquires the lock. From here on this call's drop releases it.
    #[cfg(feature = "queue")]
    pub(crate) async fn hold(&mut self) -> Result<(), LockError> {
        poll_fn(|context| self.poll_hold(context)).await
    }

    fn poll_hold(&mut self, context: &mut Context<'_>) -> Poll<Result<(), LockError>> {
        let begun = match &mut self.aside {
            Aside::Acquiring(acquiring) => Begun::Over(ready!(acquiring.as_mut().poll(context))),
            Aside::Begin { .. } | Aside::Watch(_) | Aside::Releasing(..) | Aside::Over => self.begin(),
        };
        match begun {
            Begun::Over(outcome) => {
                // What was acquired may have been waited for until the lease had run out.
                let at_once = matches!(self.aside, Aside::Begin { .. });
                self.aside = Aside::Watch(Watch::New(false));
                let ownership = self.ownership.insert(outcome?);
                if at_once || ownership.hold().shared.backend.is_local() {
                    // Granted, or joined, in this very poll.
                    self.aside = Aside::Watch(Watch::New(true));
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(self.still_held())
            }
            Begun::Later(acquiring) => {
                self.aside = Aside::Acquiring(acquiring);
                self.poll_hold(context)
            }
        }
    }

    fn begin(&mut self) -> Begun {
        let Aside::Begin { key, manager } = &mut self.aside else {
            return Begun::Over(Err(no_key()));
        };
        let Some(key) = key.take().map(Template::key) else {
            return Begun::Over(Err(no_key()));
        };
        let asked = manager.take().map(Asked::manager);
        match asked.or_else(LockManager::installed) {
            Some(manager) => manager.begin(key, self.spec),
            None => Begun::Over(Err(LockError::NoManager { key: Some(key) })),
        }
    }

    /// An error when what was acquired is not held any more.
    pub(crate) fn still_held(&self) -> Result<(), LockError> {
        let Some(hold) = self.ownership.as_ref().map(|ownership| ownership.hold()) else {
            return Ok(());
        };
        match hold.lost_reason() {
            None => Ok(()),
            Some(reason) => Err(LockError::Lost {
                key: hold.key.clone(),
                reason,
            }),
        }
    }

    /// The lock that is to be taken.
    #[cfg(feature = "queue")]
    pub(crate) fn key_wanted(&self) -> Option<&Key> {
        match &self.aside {
            Aside::Begin { key, .. } => key.as_ref().map(Template::so_far),
            _ => None,
        }
    }

    /// Polls `body` under the lock that [`hold`](Self::hold) acquired.
    #[cfg(feature = "queue")]
    pub(crate) fn run_held<'a, F: Future<Output = R>>(
        &'a mut self,
        mut body: Pin<&'a mut F>,
    ) -> impl Future<Output = Ended<R>> {
        poll_fn(move |context| self.poll_held(body.as_mut(), context))
    }

    fn poll_held(&mut self, body: Pin<&mut dyn Future<Output = R>>, context: &mut Context<'_>) -> Poll<Ended<R>> {
        let (Some(_), Aside::Watch(watch)) = (&self.ownership, &mut self.aside) else {
            return Poll::Ready(Ended::Refused(self.refuse(no_key())));
        };
        let on_lost = self.spec.on_lost;
        let polled = ready!(body::poll(&mut self.ownership, on_lost, watch, body, context));
        Poll::Ready(match (polled, &self.ownership) {
            (Ok(output), _) => Ended::Finished(output),
            (Err(reason), Some(ownership)) => Ended::Lost {
                key: ownership.hold().key.clone(),
                reason,
            },
            (Err(_), None) => Ended::Refused(self.refuse(no_key())),
        })
    }

    /// Releases the lock and gives the function's output; a lost lease is an error.
    pub fn end(&mut self, ended: Ended<R>) -> impl Future<Output = R> {
        let refused = self.returns.refused;
        self.release(ended, move |ended| match ended {
            Ended::Finished(output) | Ended::Refused(output) => output,
            Ended::Lost { key, reason } => refused(LockError::Lost { key, reason }),
        })
    }

    /// Releases the lock and gives the function's output, or why the compensation is to run.
    pub fn end_or_lost(&mut self, ended: Ended<R>) -> impl Future<Output = Result<R, LostReason>> {
        self.release(ended, |ended| match ended {
            Ended::Finished(output) | Ended::Refused(output) => Ok(output),
            Ended::Lost { reason, .. } => Err(reason),
        })
    }

    /// Not an `async fn`: that would keep the output twice, at every level of nesting.
    fn release<T>(&mut self, ended: Ended<R>, output: impl FnOnce(Ended<R>) -> T) -> impl Future<Output = T> {
        let ending = self.ownership.take().and_then(|mut ownership| ownership.end());
        let mut released = awaited(ending, &ended).map(|ending| Box::pin(confirm(ending)));
        let mut rest = Some((ended, output));
        poll_fn(move |context| {
            if let Some(released) = &mut released {
                std::task::ready!(released.as_mut().poll(context));
            }
            match rest.take() {
                Some((ended, output)) => Poll::Ready(output(ended)),
                // Polled after it was ready, which `.await` never does.
                None => Poll::Pending,
            }
        })
    }

    fn refuse(&self, error: LockError) -> R {
        match self.returns.skipped {
            Some(skipped) if self.spec.on_conflict == OnConflict::Skip && error.is_conflict() => skipped(),
            _ => (self.returns.refused)(error),
        }
    }
}

/// The release, if the call waits for its answer.
fn awaited<R>(ending: Option<Ending>, ended: &Ended<R>) -> Option<Ending> {
    match (ending, ended) {
        // The backend may hang, and that may be why the lease expired: nobody waits for it then.
        (
            _,
            Ended::Lost {
                reason: LostReason::Expired,
                ..
            },
        )
        // Nobody waits for what never ran, either.
        | (_, Ended::Refused(_))
        // Nor for what is over.
        | (Some(Ending::Over(_)) | None, _) => None,
        (ending, _) => ending,
    }
}

/// A call until its body has ended.
struct Run<'a, R, F> {
    call: &'a mut Call<R>,
    body: Pin<&'a mut F>,
}

impl<R, F: Future<Output = R>> Future for Run<'_, R, F> {
    type Output = Ended<R>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Ended<R>> {
        let Run { call, body } = &mut *self;
        call.poll_run(body.as_mut(), context)
    }
}

/// Never seen: the expansion gives a key before anything else.
fn no_key() -> LockError {
    LockError::InvalidKey {
        key: Key::from(""),
        reason: "the call was given no key".to_owned(),
    }
}

/// Waits for the release's first answer. A failure was logged, goes on in the background, and never replaces the
/// body's output.
async fn confirm(ending: Ending) {
    match ending.wait().await {
        ReleaseEnd::Released | ReleaseEnd::Lost(_) | ReleaseEnd::Failed(_) => {}
    }
}

/// The body of [`LockRequest::run`](crate::LockRequest::run) under a hold that was acquired for it.
pub(crate) async fn run<F: Future>(ownership: Ownership, on_lost: OnLost, body: F) -> Result<F::Output, LockError> {
    let key = ownership.hold().key.clone();
    // The body is dropped before the lock is released: on the way out, and by the order of declaration also when
    // this future is dropped.
    let mut ownership = Some(ownership);
    let ended = {
        let body = std::pin::pin!(body);
        body::under(&mut ownership, on_lost, body).await
    };
    let ending = ownership.and_then(|mut ownership| ownership.end());
    if let (Some(ending), false) = (ending, matches!(ended, Err(LostReason::Expired))) {
        confirm(ending).await;
    }
    ended.map_err(|reason| LockError::Lost { key, reason })
}

#[cfg(test)]
#[path = "tests/call.rs"]
mod tests;
