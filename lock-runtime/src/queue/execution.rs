//! One run of a stored call: what the worker hands to the annotated function, and what comes back.
//!
//! The function itself is called, as anybody would call it, so that everything that was put around it applies. That it is
//! a worker who calls is told to its [`Call`](super::Call) by way of a thread-local, in the very poll in which the function
//! starts: the first thing that an annotated function does is making its call, before any code of the user's.

use std::any::Any;
use std::cell::RefCell;
use std::fmt::{Debug, Display};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Ticket;
use super::claim::ClaimGuard;
use super::function::{Function, lacks};
use super::parameter::{Stored, Unreadable};
use super::worker::States;
use crate::{LockError, LockManager, LostReason};

thread_local! {
    /// What the call that starts in this poll is an execution of.
    static STARTING: RefCell<Option<Execution>> = const { RefCell::new(None) };
}

/// A stored call that a worker runs now.
#[derive(Clone)]
pub struct Execution(Arc<Inner>);

struct Inner {
    manager: LockManager,
    function: &'static Function,
    arguments: Stored,
    states: States,
    claim: ClaimGuard,
    /// The call of the annotated function has begun.
    started: AtomicBool,
    /// How far it came. A std mutex, held for a look.
    report: Mutex<Option<Report>>,
}

/// What became of a run.
#[derive(Debug)]
pub(super) enum Report {
    /// The lock was not had, and the body did not run.
    Refused(LockError),
    /// The claim was not ours any more when the lock was; the body did not run.
    Superseded,
    /// The lease was lost, and nothing made up for it.
    Lost(LostReason),
    /// The arguments are not those of this version of the function.
    Unreadable(String),
    /// The worker has no value for one of its `#[state]` parameters.
    LacksState(String),
    /// The body, or the compensation, came to its end: well, or with an error's text.
    Ended(Result<(), String>),
}

impl Execution {
    pub(super) fn new(
        manager: LockManager,
        function: &'static Function,
        arguments: Stored,
        states: States,
        claim: ClaimGuard,
    ) -> Self {
        Self(Arc::new(Inner {
            manager,
            function,
            arguments,
            states,
            claim,
            started: AtomicBool::new(false),
            report: Mutex::new(None),
        }))
    }

    /// The arguments of the call.
    #[must_use]
    pub fn arguments(&self) -> &Stored {
        &self.0.arguments
    }

    /// The worker's value for a `#[state]` parameter.
    ///
    /// # Errors
    ///
    /// When it has none.
    pub(super) fn state<T: Any>(&self) -> Result<&T, Unreadable> {
        self.0.states.get().ok_or_else(|| Unreadable {
            reason: lacks(self.0.function.path, std::any::type_name::<T>()),
            lacks_state: true,
        })
    }

    /// Runs `call`, a call of the annotated function, as this execution.
    pub async fn within<F: Future>(&self, call: F) -> F::Output {
        let mut call = pin!(call);
        let mut starts = Some(self.clone());
        poll_fn(|context| {
            let Some(execution) = starts.take() else {
                return call.as_mut().poll(context);
            };
            let starting = Starting::new(execution);
            let polled = call.as_mut().poll(context);
            // Something around the function has not called it yet.
            starts = starting.end();
            polled
        })
        .await
    }

    /// This worker cannot run it.
    pub fn unreadable(&self, unreadable: Unreadable) {
        let Unreadable { reason, lacks_state } = unreadable;
        self.tell(if lacks_state {
            Report::LacksState(reason)
        } else {
            Report::Unreadable(reason)
        });
    }

    /// The function has returned. What never asked for the lock was no run: something around the function has answered in
    /// its place, or has sent it to another task.
    pub fn ended(&self, output: Result<(), String>) {
        let started = self.0.started.load(Ordering::Acquire);
        self.tell(Report::Ended(if started {
            output
        } else {
            let instead = output.err().map(|error| format!(" ({error})")).unwrap_or_default();
            Err(format!(
                "the function did not run where it was called: something around it has answered in its place, or has sent it to another task, where it is no run of a stored call{instead}"
            ))
        }));
    }

    /// The execution that the call of `function` is which starts now, if a worker makes it.
    pub(super) fn starting(function: &'static Function) -> Option<Self> {
        let execution = STARTING
            .with_borrow_mut(|starting| starting.take_if(|execution| std::ptr::eq(execution.0.function, function)))?;
        execution.0.started.store(true, Ordering::Release);
        Some(execution)
    }

    pub(super) fn manager(&self) -> &LockManager {
        &self.0.manager
    }

    pub(super) fn claim(&self) -> &ClaimGuard {
        &self.0.claim
    }

    pub(super) fn ticket(&self) -> Ticket {
        self.0.claim.ticket()
    }

    /// The first word stays.
    pub(super) fn tell(&self, report: Report) {
        self.report().get_or_insert(report);
    }

    pub(super) fn take_report(&self) -> Option<Report> {
        self.report().take()
    }

    fn report(&self) -> MutexGuard<'_, Option<Report>> {
        self.0.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread-local's value for the length of one poll, also if that panics.
struct Starting {
    before: Option<Execution>,
    ended: bool,
}

impl Starting {
    fn new(execution: Execution) -> Self {
        Self {
            before: STARTING.replace(Some(execution)),
            ended: false,
        }
    }

    /// What nobody took.
    fn end(mut self) -> Option<Execution> {
        self.ended = true;
        STARTING.replace(self.before.take())
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        if !self.ended {
            STARTING.set(self.before.take());
        }
    }
}

/// The output of a function, as a worker wants to know it: how it ended, and an error as text, by `Display`, else by
/// `Debug`, else as the name of its type. The expansion asks `(&&&&Shown(&output)).result()`, and the compiler takes the
/// first of the four that the type has.
pub struct Shown<'a, R>(pub &'a R);

/// A `Result` whose error has `Display`.
pub trait ShownByDisplay {
    /// The output.
    ///
    /// # Errors
    ///
    /// That of the output.
    fn result(&self) -> Result<(), String>;
}

impl<T, E: Display> ShownByDisplay for &&&Shown<'_, Result<T, E>> {
    fn result(&self) -> Result<(), String> {
        self.0.as_ref().map(drop).map_err(ToString::to_string)
    }
}

/// A `Result` whose error has `Debug`.
pub trait ShownByDebug {
    /// The output.
    ///
    /// # Errors
    ///
    /// That of the output.
    fn result(&self) -> Result<(), String>;
}

impl<T, E: Debug> ShownByDebug for &&Shown<'_, Result<T, E>> {
    fn result(&self) -> Result<(), String> {
        self.0.as_ref().map(drop).map_err(|error| format!("{error:?}"))
    }
}

/// Any `Result`.
pub trait ShownByType {
    /// The output.
    ///
    /// # Errors
    ///
    /// That of the output.
    fn result(&self) -> Result<(), String>;
}

impl<T, E> ShownByType for &Shown<'_, Result<T, E>> {
    fn result(&self) -> Result<(), String> {
        let describe = |_: &E| format!("an error of the type `{}`", std::any::type_name::<E>());
        self.0.as_ref().map(drop).map_err(describe)
    }
}

/// No `Result`. It is an error at the return type, and must not be a second one here.
pub trait ShownOtherwise {
    /// Nothing.
    ///
    /// # Errors
    ///
    /// Never.
    fn result(&self) -> Result<(), String>;
}

impl<R> ShownOtherwise for Shown<'_, R> {
    fn result(&self) -> Result<(), String> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::needless_borrow, reason = "as the expansion writes it for all types")]
    fn an_error_is_shown_as_well_as_its_type_can() {
        #[derive(Debug)]
        struct OnlyDebug;
        struct Nothing;

        assert_eq!((&&&&Shown(&Ok::<u8, &str>(1))).result(), Ok(()));
        assert_eq!((&&&&Shown(&Err::<u8, _>("text"))).result(), Err("text".to_owned()));
        assert_eq!(
            (&&&&Shown(&Err::<u8, _>(OnlyDebug))).result(),
            Err("OnlyDebug".to_owned())
        );
        let unnamed = (&&&&Shown(&Err::<u8, _>(Nothing))).result();
        assert!(unnamed.unwrap_err().contains("Nothing"));
        assert_eq!((&&&&Shown(&7)).result(), Ok(()));
    }
}
