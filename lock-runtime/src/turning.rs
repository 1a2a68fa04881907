//! One turn of a contender: its claim's requests, and the grant that may come at any moment, on whichever thread the
//! word arrives.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::attempts::Attempts;
use crate::backend::{Grantee, Told, Turn};
use crate::contender::{Contending, Turned};

/// Who has the claim's requests at the moment.
pub(crate) struct Turning {
    contending: Arc<Contending>,
    /// A std mutex, held to take something out or put it in.
    state: Mutex<State>,
    /// Tells the contender that there is something new.
    changed: Notify,
}

enum State {
    /// The contender, which asks. What it is told meanwhile waits for the answer.
    Asking(Option<Told>),
    /// Whoever is the first to need them: the contender for its next question, or who hears that the lock is granted.
    Waiting(Box<Waiting>),
    /// Who has heard that the lock is granted.
    Giving {
        /// The contender waits to know how it ends.
        awaited: bool,
    },
    /// Nobody: so the turn has ended.
    Over(Turned),
}

/// A claim whose last question was answered, and that waits.
pub(crate) struct Waiting {
    pub(crate) attempts: Attempts,
    /// The last question.
    pub(crate) turn: Turn,
    /// The first in line turned out to want another lease, which is this long.
    pub(crate) other: Option<Duration>,
}

impl Turning {
    pub(crate) fn new(contending: Arc<Contending>) -> Self {
        Self {
            contending,
            state: Mutex::new(State::Asking(None)),
            changed: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last question has its answer. From here on the lock may be given away by whoever hears that it is granted.
    pub(crate) fn wait(&self, waiting: Waiting) {
        let before = std::mem::replace(&mut *self.state(), State::Waiting(Box::new(waiting)));
        if let State::Asking(Some(told)) = before {
            self.granted(told);
        }
    }

    /// Resolves when [`ask`](Self::ask) may have something new to say. Cancel safe.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The requests for the next question, or how the turn has ended.
    pub(crate) async fn ask(&self) -> Result<Waiting, Turned> {
        loop {
            {
                let mut state = self.state();
                match std::mem::replace(&mut *state, State::Asking(None)) {
                    State::Waiting(waiting) => return Ok(*waiting),
                    State::Over(turned) => return Err(turned),
                    State::Giving { .. } => *state = State::Giving { awaited: true },
                    other @ State::Asking(_) => *state = other,
                }
            }
            // Giving takes no time.
            self.changed().await;
        }
    }
}

impl Grantee for Turning {
    fn granted(&self, told: Told) {
        let mut state = self.state();
        let waiting = match std::mem::replace(&mut *state, State::Giving { awaited: false }) {
            State::Asking(_) => {
                *state = State::Asking(Some(told));
                return;
            }
            // What was granted before the last question was heard had gone again by then, or the answer would have been
            // that.
            State::Waiting(waiting)
                if waiting.turn.question == told.question
                    && self.contending.early(&waiting.attempts, waiting.turn.first_lease) =>
            {
                waiting
            }
            other => {
                *state = other;
                drop(state);
                // It is to look for itself.
                self.changed.notify_one();
                return;
            }
        };
        drop(state);
        let mut giving = Giving {
            turning: self,
            after: State::Over(Turned::Unwanted),
        };
        let mut waiting = waiting;
        let got = waiting.attempts.told(told.fence, waiting.turn.first_lease);
        giving.after = match self.contending.give(&mut waiting.attempts, got, waiting.turn) {
            Ok(turned) => State::Over(turned),
            Err(other) => {
                waiting.other = Some(other);
                State::Waiting(waiting)
            }
        };
    }
}

/// Says how it ended, be it by a panic of a subscriber.
struct Giving<'a> {
    turning: &'a Turning,
    after: State,
}

impl Drop for Giving<'_> {
    fn drop(&mut self) {
        let after = std::mem::replace(&mut self.after, State::Over(Turned::Unwanted));
        let is_given = matches!(after, State::Over(Turned::Given));
        let before = std::mem::replace(&mut *self.turning.state(), after);
        let is_awaited = matches!(before, State::Giving { awaited: true });
        // To wake the lock thread takes longer than all of this, and who was given the lock is not polled before that. Where
        // nobody waits any more, the contender learns of it from whoever comes next, or by its timer. Looked at after the
        // state was set: who has come before must be asked for.
        if is_awaited || !is_given || self.turning.contending.is_waited_for() {
            self.turning.changed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::Key;
    use crate::scripted::Scripted;

    fn giving(turning: &Turning) -> Giving<'_> {
        *turning.state() = State::Giving { awaited: false };
        Giving {
            turning,
            after: State::Over(Turned::Given),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_while_the_lock_is_given_learns_how_that_ends() {
        let (_, shared) = Scripted::default().shared();
        let timeline = shared.timeline(&Key::from("k")).unwrap();
        let contending = Contending::new(shared, timeline, "k".to_owned(), Arc::default());
        let turning = Turning::new(Arc::new(contending));
        let given = giving(&turning);
        let mut asked = Box::pin(turning.ask());
        assert!((&mut asked).now_or_never().is_none());
        drop(given);
        assert!(matches!(asked.now_or_never(), Some(Err(Turned::Given))));
        // Where nobody asks and nobody waits, nobody is woken.
        drop(giving(&turning));
        assert!(turning.changed().now_or_never().is_none());
        assert!(matches!(turning.ask().now_or_never(), Some(Err(Turned::Given))));
    }
}
