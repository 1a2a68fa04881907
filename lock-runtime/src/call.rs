//! What an annotated function becomes: one [`Call`] that is given a key and runs the body.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use crate::acquire::{Acquiring, Begun};
use crate::backend::BoxFuture;
use crate::body::Watch;
use crate::complete::Slot;
use crate::ended::{Ended, Fate, awaited, confirm};
use crate::outcome::{Lockable, Returns, Skippable, returns, returns_or_skips};
use crate::ownership::Ownership;
use crate::template::{Asked, KeyValue, ManagerRef, Template};
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
        key: Template,
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

impl<R> Call<R> {
    /// A call that holds nothing yet.
    #[must_use]
    pub const fn new(spec: &'static Spec, returns: Returns<R>) -> Self {
        Self {
            spec,
            returns,
            ownership: None,
            aside: Aside::Begin {
                key: Template::new(),
                manager: None,
            },
        }
    }

    /// The lock to take.
    pub fn key(&mut self, wanted: Key) {
        if let Aside::Begin { key, .. } = &mut self.aside {
            *key = Template::of(wanted);
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
            Aside::Begin { key, .. } => Some(key),
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
            // It stays where it is, because moving it would cost as much as all the rest of this.
            let mut output = Poll::Pending;
            let fate = ready!(self.poll_run(running, context, &mut output));
            body.clear();
            self.release_after(fate, &mut output);
            if output.is_ready() {
                return output;
            }
        }
        self.poll_release(context)
    }

    /// The body is dropped by now. Takes the output away again if the release is to be waited for.
    fn release_after(&mut self, fate: Fate, output: &mut Poll<R>) {
        let lost = match fate {
            Fate::Lost(reason) => self.lost(reason),
            Fate::Finished | Fate::Refused => None,
        };
        let ending = self.ownership.take().and_then(|mut ownership| ownership.end());
        let confirmed = awaited(ending, fate);
        if let Some(error) = lost {
            *output = Poll::Ready((self.returns.refused)(error));
        }
        if let Some(ending) = confirmed
            && let Poll::Ready(output) = std::mem::replace(output, Poll::Pending)
        {
            self.aside = Aside::Releasing(Box::pin(confirm(ending)), Box::new(output));
        }
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

    fn poll_run(
        &mut self,
        body: Pin<&mut dyn Future<Output = R>>,
        context: &mut Context<'_>,
        output: &mut Poll<R>,
    ) -> Poll<Fate> {
        if !matches!(self.aside, Aside::Watch(_))
            && let Err(error) = ready!(self.poll_hold(context))
        {
            *output = Poll::Ready(self.refuse(error));
            return Poll::Ready(Fate::Refused);
        }
        self.poll_held(body, context, output)
    }

    /// Acquires the lock. From here on this call's drop releases it.
    #[cfg(feature = "queue")]
    pub(crate) async fn hold(&mut self) -> Result<(), LockError> {
        poll_fn(|context| self.poll_hold(context)).await
    }

    fn poll_hold(&mut self, context: &mut Context<'_>) -> Poll<Result<(), LockError>> {
        if let Aside::Acquiring(acquiring) = &mut self.aside {
            let outcome = ready!(acquiring.as_mut().poll(context));
            self.aside = Aside::Watch(Watch::New(false));
            let ownership = self.ownership.insert(outcome?);
            // What was acquired may have been waited for until the lease had run out; here it was granted in this very poll.
            if ownership.hold().shared.backend.is_local() {
                self.aside = Aside::Watch(Watch::New(true));
                return Poll::Ready(Ok(()));
            }
            return Poll::Ready(self.still_held());
        }
        let Aside::Begin { key, manager } = std::mem::replace(&mut self.aside, Aside::Over) else {
            return Poll::Ready(Err(no_key()));
        };
        let key = key.key();
        let Some(manager) = manager.map(Asked::manager).or_else(LockManager::installed) else {
            let invalid = key.check().err();
            return Poll::Ready(Err(invalid.unwrap_or(LockError::NoManager { key: Some(key) })));
        };
        match manager.begin(key, self.spec, context.waker()) {
            Begun::Over(outcome) => {
                self.ownership = Some(outcome.map_err(|error| *error)?);
                // Granted, or joined, in this very poll.
                self.aside = Aside::Watch(Watch::New(true));
                Poll::Ready(Ok(()))
            }
            Begun::Later(acquiring) => {
                self.aside = Aside::Acquiring(acquiring);
                self.poll_hold(context)
            }
        }
    }

    /// An error when what was acquired is not held any more.
    pub(crate) fn still_held(&self) -> Result<(), LockError> {
        let lost = self.ownership.as_ref().and_then(|part| part.hold().lost_reason());
        lost.and_then(|reason| self.lost(reason)).map_or(Ok(()), Err)
    }

    /// The lease of this call is lost.
    fn lost(&self, reason: LostReason) -> Option<LockError> {
        let key = self.ownership.as_ref()?.hold().key().clone();
        Some(LockError::Lost { key, reason })
    }

    /// The lock that is to be taken.
    #[cfg(feature = "queue")]
    pub(crate) fn key_wanted(&self) -> Option<&Key> {
        match &self.aside {
            Aside::Begin { key, .. } => Some(key.so_far()),
            _ => None,
        }
    }

    /// Polls `body` under the lock that [`hold`](Self::hold) acquired.
    #[cfg(feature = "queue")]
    pub(crate) fn run_held<'a, F: Future<Output = R>>(
        &'a mut self,
        mut body: Pin<&'a mut F>,
    ) -> impl Future<Output = Ended<R>> {
        poll_fn(move |context| {
            let mut output = Poll::Pending;
            let fate = ready!(self.poll_held(body.as_mut(), context, &mut output));
            self.ended(fate, output)
        })
    }

    fn poll_held(
        &mut self,
        body: Pin<&mut dyn Future<Output = R>>,
        context: &mut Context<'_>,
        output: &mut Poll<R>,
    ) -> Poll<Fate> {
        let (Some(_), Aside::Watch(watch)) = (&self.ownership, &mut self.aside) else {
            *output = Poll::Ready(self.refuse(no_key()));
            return Poll::Ready(Fate::Refused);
        };
        let on_lost = self.spec.on_lost;
        let lost = ready!(body::poll(&mut self.ownership, on_lost, watch, body, context, output));
        Poll::Ready(lost.map_or(Fate::Finished, Fate::Lost))
    }

    /// How the body ended, for whoever goes on with it.
    fn ended(&self, fate: Fate, output: Poll<R>) -> Poll<Ended<R>> {
        match fate {
            Fate::Finished => output.map(Ended::Finished),
            Fate::Refused => output.map(Ended::Refused),
            Fate::Lost(reason) => Poll::Ready(match &self.ownership {
                Some(ownership) => Ended::Lost {
                    key: ownership.hold().key().clone(),
                    reason,
                },
                // There is one whenever a body is polled.
                None => Ended::Refused(self.refuse(no_key())),
            }),
        }
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
        let mut released = awaited(ending, ended.fate()).map(|ending| Box::pin(confirm(ending)));
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

/// A call until its body has ended.
struct Run<'a, R, F> {
    call: &'a mut Call<R>,
    body: Pin<&'a mut F>,
}

impl<R, F: Future<Output = R>> Future for Run<'_, R, F> {
    type Output = Ended<R>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Ended<R>> {
        let Run { call, body } = &mut *self;
        let mut output = Poll::Pending;
        let fate = ready!(call.poll_run(body.as_mut(), context, &mut output));
        call.ended(fate, output)
    }
}

/// Never seen: the expansion gives a key before anything else.
fn no_key() -> LockError {
    LockError::InvalidKey {
        key: Key::from(""),
        reason: "the call was given no key".to_owned(),
    }
}

/// The body of [`LockRequest::run`](crate::LockRequest::run) under a hold that was acquired for it.
pub(crate) async fn run<F: Future>(ownership: Ownership, on_lost: OnLost, body: F) -> Result<F::Output, LockError> {
    let key = ownership.hold().key().clone();
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
