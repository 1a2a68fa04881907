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
        place.waiter.waits_here();
        line.waiters.push_back(Arc::clone(&place.waiter));
        line.promise_to_newcomer(place.waiter.started());
        let starts = line.contended();
        // The first to whom nothing is promised.
        let is_news = starts.is_none() && !line.trying && line.waiters.len() == line.promised + 1;
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
            self.waiter.waits_here();
            self.has_tried();
        }
        let (waiter, clock) = (&self.waiter, self.timeline.clock);
        let over = waiter.until();
        if let Ok(outcome) = self.timeline.within(over, waiter.outcome()).await {
            return outcome;
        }
        if self.shared.is_closing() {
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

    /// The wait is over. Whether somebody asks the backend for us, and so does once more, or leaves its line with us.
    fn asks_once_more(&self) -> bool {
        let now = self.timeline.clock.now();
        let lines = self.timeline.lines.lines();
        let Some(line) = lines.get(self.name()) else {
            return false;
        };
        let goes_on = line.waiters.len() > line.promised + 1;
        if !self.is_asked_for_in(line) || (goes_on && line.is_busy_at(now)) {
            return false;
        }
        let contender = line.contender.clone();
        drop(lines);
        self.waiter.is_over();
        if let Some(contender) = contender {
            contender.notify_one();
        }
        true
    }

    /// Whether an answer of the backend is owed to us: we stand in line, and nothing is promised to us.
    fn is_asked_for(&self) -> bool {
        let lines = self.timeline.lines.lines();
        lines.get(self.name()).is_some_and(|line| self.is_asked_for_in(line))
    }

    fn is_asked_for_in(&self, line: &Line) -> bool {
        let place = line.waiters.iter().position(|waiter| Arc::ptr_eq(waiter, &self.waiter));
        place.is_some_and(|place| place >= line.promised) && (line.trying || line.contender.is_some())
    }

    /// Its own try is over: from here on a contender asks for those who are left.
    fn has_tried(&self) {
        let mut lines = self.timeline.lines.lines();
        if self.timeline.lines.closed.load(Ordering::Acquire) {
            drop(lines);
            return self.waiter.tell(Err(self.waiter.shut_down()));
        }
        let line = lines.entry(self.name().to_owned()).or_insert_with(Line::new);
        if !self.tries_no_more(line) {
            // It was overtaken. Before it is who tries now, or is promised something.
            let place = line.promised + usize::from(line.trying);
            line.waiters.insert(place, Arc::clone(&self.waiter));
        }
        let starts = line.contended();
        let contends = line.contender.clone().filter(|_| starts.is_none());
        drop(lines);
        start(starts, self.name(), self.shared, self.timeline);
        if let Some(contender) = contends {
            contender.notify_one();
        }
    }

    /// Whether it still stood in line when its try was over. By now somebody else may try.
    fn tries_no_more(&self, line: &mut Line) -> bool {
        let is_first = line
            .waiters
            .front()
            .is_some_and(|first| Arc::ptr_eq(first, &self.waiter));
        if is_first {
            line.trying = false;
        }
        is_first
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
        self.tries_no_more(line);
        line.waiters.remove(place);
        if place < line.promised {
            line.promised -= 1;
        }
        let starts = line.contended();
        // There may be nobody left to ask for, or somebody for whom nobody asks yet.
        let contends = line
            .contender
            .clone()
            .filter(|_| starts.is_none() && (self.tries || !line.asks()));
        forget_empty(&mut lines, self.name());
        drop(lines);
        start(starts, self.name(), self.shared, self.timeline);
        if let Some(contender) = contends {
            contender.notify_one();
        }
    }
}
