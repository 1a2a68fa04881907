//! A caller's place in line: joining, waiting, giving up.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Line, forget_empty, start};
use crate::LockError;
use crate::contender;
use crate::manager::Shared;
use crate::ownership::Ownership;
use crate::timeline::Timeline;
use crate::waiter::Waiter;

/// How much longer than its wait a caller waits for an answer of the backend; the contract allows 1 s.
pub(crate) const GRACE: Duration = Duration::from_millis(700);

/// An answer is of this moment if it is not older.
const FRESH: Duration = Duration::from_millis(100);

/// A caller's place in line. Dropped, it is given up, and what the caller was given in the meantime goes on to the next.
pub(crate) struct Place<'a> {
    shared: &'a Arc<Shared>,
    timeline: &'a Arc<Timeline>,
    waiter: Arc<Waiter>,
    /// It came first, and tries itself; nobody asks for the others meanwhile.
    tries: bool,
}

impl<'a> Place<'a> {
    /// Behind those who are there.
    pub(crate) fn join(shared: &'a Arc<Shared>, timeline: &'a Arc<Timeline>, waiter: Waiter) -> Self {
        let mut place = Self {
            shared,
            timeline,
            waiter: Arc::new(waiter),
            tries: false,
        };
        let mut lines = timeline.lines.lines();
        if timeline.lines.closed.load(Ordering::Acquire) {
            drop(lines);
            place.waiter.tell(Err(place.waiter.shut_down()));
            return place;
        }
        let Some(line) = lines.get_mut(place.name()) else {
            let mut line = Line::new();
            line.trying = true;
            line.waiters.push_back(Arc::clone(&place.waiter));
            lines.insert(place.name().to_owned(), line);
            place.tries = true;
            return place;
        };
        line.waiters.push_back(Arc::clone(&place.waiter));
        let starts = line.contended();
        // The first to whom nothing is promised.
        let is_news = starts.is_none() && line.waiters.len() == line.promised + 1;
        let contends = line.contender.clone().filter(|_| is_news);
        drop(lines);
        start(starts, place.name(), shared, timeline);
        if let Some(contender) = contends {
            contender.notify_one();
        }
        place
    }

    fn name(&self) -> &str {
        self.waiter.key.name()
    }

    /// Whether it is to try by itself, because nobody else was there.
    pub(crate) fn tries(&self) -> bool {
        self.tries
    }

    /// Waits for what is left of the caller's time.
    ///
    /// Cancel safe, as dropping the place.
    pub(crate) async fn wait(mut self) -> Result<Ownership, LockError> {
        if std::mem::take(&mut self.tries) {
            self.has_tried();
        }
        let (waiter, clock) = (&self.waiter, self.timeline.clock);
        let over = waiter.until();
        if let Ok(outcome) = self.timeline.within(over, waiter.outcome()).await {
            return outcome;
        }
        if self.shared.closing.is_cancelled() {
            return Err(waiter.shut_down());
        }
        // Otherwise somebody here holds the lock, or will be handed it.
        if self.asks_once_more() {
            if let Ok(outcome) = self.timeline.within(over.plus(GRACE), waiter.outcome()).await {
                return outcome;
            }
            if self.is_asked_for() {
                return Err(contender::no_answer(&waiter.key));
            }
        }
        Err(waiter.conflict(clock.now()))
    }

    /// The wait is over. Whether somebody asks the backend for us, and so does once more.
    fn asks_once_more(&self) -> bool {
        let now = self.timeline.clock.now();
        let is_asked_for = self.is_asked_for();
        let heard = self.timeline.lines.lines().get(self.name()).map(|line| line.busy);
        if heard.is_some_and(|busy| now.since(busy) < FRESH) {
            return false;
        }
        if is_asked_for {
            self.waiter.is_over();
            if let Some(contender) = self
                .timeline
                .lines
                .lines()
                .get(self.name())
                .and_then(|line| line.contender.clone())
            {
                contender.notify_one();
            }
        }
        is_asked_for
    }

    /// Whether an answer of the backend is owed to us: we stand in line, and nothing is promised to us.
    fn is_asked_for(&self) -> bool {
        let lines = self.timeline.lines.lines();
        let Some(line) = lines.get(self.name()) else {
            return false;
        };
        let place = line.waiters.iter().position(|waiter| Arc::ptr_eq(waiter, &self.waiter));
        place.is_some_and(|place| place >= line.promised) && (line.trying || line.contender.is_some())
    }

    /// Its own try is over: from here on a contender asks for those who are left.
    fn has_tried(&self) {
        let mut lines = self.timeline.lines.lines();
        let Some(line) = lines.get_mut(self.name()) else {
            return;
        };
        line.trying = false;
        let starts = line.contended();
        drop(lines);
        start(starts, self.name(), self.shared, self.timeline);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if !self.waiter.give_up() {
            return;
        }
        let mut lines = self.timeline.lines.lines();
        let Some(line) = lines.get_mut(self.name()) else {
            return;
        };
        let place = line.waiters.iter().position(|waiter| Arc::ptr_eq(waiter, &self.waiter));
        let Some(place) = place else {
            return;
        };
        line.waiters.remove(place);
        if place < line.promised {
            line.promised -= 1;
        }
        if let Some(contender) = &line.contender
            && line.waiters.len() <= line.promised
        {
            // There is nobody left to ask for.
            contender.notify_one();
        }
        forget_empty(&mut lines, self.name());
        drop(lines);
        if self.tries {
            self.has_tried();
        }
    }
}
