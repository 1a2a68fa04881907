//! A whole call. This is compiled anew for each annotated function, and so it is little.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::call::Call;

/// Acquires the lock, polls the body under it, drops the body with the function's parameters, and releases the lock; a
/// lost lease is an error.
///
/// Its fields are public because a call of a constructor would be one more function for each body.
pub struct Complete<'a, R, F> {
    /// Declared before the body.
    pub call: &'a mut Call<R>,
    /// Emptied before the lock is released.
    pub body: Pin<&'a mut Option<F>>,
}

impl<R, F: Future<Output = R>> Future for Complete<'_, R, F> {
    type Output = R;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<R> {
        let Complete { call, body } = self.get_mut();
        call.poll_complete(body, context)
    }
}

/// Where a body is, whatever its type: what polls it and drops it is compiled once for each type of output.
pub(crate) trait Slot<R> {
    /// The body, unless it was dropped.
    fn running(&mut self) -> Option<Pin<&mut dyn Future<Output = R>>>;
    /// Drops the body.
    fn clear(&mut self);
}

impl<R, F: Future<Output = R>> Slot<R> for Pin<&mut Option<F>> {
    fn running(&mut self) -> Option<Pin<&mut dyn Future<Output = R>>> {
        match self.as_mut().as_pin_mut() {
            Some(body) => Some(body),
            None => None,
        }
    }

    fn clear(&mut self) {
        self.set(None);
    }
}
