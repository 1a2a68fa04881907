//! From lines to operations: when each began and ended, and what must have come of it.

use std::collections::BTreeMap;

use super::{Event, What};

/// What was done to one lock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// By their beginnings. What was not done is not in it.
    pub operations: Vec<Operation>,
}

/// One operation of one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// Who.
    pub client: usize,
    /// What.
    pub action: Action,
    /// It happened at this time or later.
    pub start: u64,
    /// And at this time or before.
    pub end: u64,
    /// It may not have happened at all.
    pub is_optional: bool,
}

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Takes the lock, or enters it once more. With this fence, if that is known.
    Acquire(Option<u64>),
    /// Leaves what was entered last.
    Release,
    /// The lease ended by itself: all that the client had entered is left.
    Lose,
}

/// An operation has no end.
pub(super) const NEVER: u64 = u64::MAX;

impl History {
    /// The operations behind the events of one lock, which for each client are in their order.
    ///
    /// # Panics
    /// When a client answers what it did not ask.
    #[must_use]
    pub fn of(events: &[Event]) -> History {
        let mut clients: BTreeMap<&str, Client> = BTreeMap::new();
        for event in events {
            let number = clients.len();
            let client = clients.entry(&event.client).or_insert_with(|| Client::new(number));
            client.take(event);
        }
        let mut operations: Vec<Operation> = clients.into_values().flat_map(Client::finish).collect();
        operations.sort_by_key(|operation| (operation.start, operation.end));
        History { operations }
    }

    /// The history without re-entries and their ends, for models that have none. An operation that may be a re-entry,
    /// because it is unknown what came before, is taken for none.
    #[must_use]
    pub fn outermost(&self) -> History {
        let mut depths: BTreeMap<usize, usize> = BTreeMap::new();
        let is_outermost = |operation: &&Operation| {
            let depth = depths.entry(operation.client).or_default();
            match operation.action {
                _ if operation.is_optional => *depth == 0 || operation.action != Action::Acquire(None),
                Action::Acquire(_) => {
                    *depth += 1;
                    *depth == 1
                }
                Action::Release => {
                    *depth = depth.saturating_sub(1);
                    *depth == 0
                }
                Action::Lose => {
                    *depth = 0;
                    true
                }
            }
        };
        History {
            operations: self.operations.iter().filter(is_outermost).copied().collect(),
        }
    }
}

/// One client's events on their way to operations.
struct Client {
    number: usize,
    operations: Vec<Operation>,
    /// What it has asked and not heard of.
    open: Option<Operation>,
    /// How often it has entered, as far as it knows.
    depth: usize,
    /// The last moment when its lease was seen valid; before that, when it asked for it. That the answer was recorded
    /// shows nothing: between the two the process may have stood still.
    valid: u64,
    /// Since when it may hold the lock without knowing it.
    doubtful: Option<u64>,
}

impl Client {
    fn new(number: usize) -> Self {
        Self {
            number,
            operations: Vec::new(),
            open: None,
            depth: 0,
            valid: 0,
            doubtful: None,
        }
    }

    fn take(&mut self, event: &Event) {
        let time = event.time;
        match event.what {
            What::Acquire => {
                if self.depth == 0 {
                    self.valid = time;
                }
                self.ask(Action::Acquire(None), time);
            }
            What::Release => {
                self.valid = time;
                self.ask(Action::Release, time);
            }
            What::Acquired(fence) => {
                let mut acquire = self.answered(Action::Acquire(None), event);
                acquire.action = Action::Acquire(Some(fence));
                self.settle(time);
                self.operations.push(Operation { end: time, ..acquire });
                self.depth += 1;
            }
            What::Released => {
                let release = self.answered(Action::Release, event);
                self.operations.push(Operation { end: time, ..release });
                self.depth = self.depth.saturating_sub(1);
            }
            What::NotAcquired => drop(self.answered(Action::Acquire(None), event)),
            What::NotReleased => drop(self.answered(Action::Release, event)),
            What::AcquireUnknown => {
                let acquire = self.answered(Action::Acquire(None), event);
                self.unknown(acquire);
            }
            What::ReleaseUnknown => {
                let release = self.answered(Action::Release, event);
                self.unknown(release);
                self.depth = self.depth.saturating_sub(1);
            }
            What::Valid => self.valid = time,
            What::Lost => {
                // What it had asked for meanwhile does not matter: nothing is left of it.
                self.open = None;
                self.operations.push(self.operation(Action::Lose, self.valid, time));
                self.depth = 0;
            }
        }
    }

    fn operation(&self, action: Action, start: u64, end: u64) -> Operation {
        Operation {
            client: self.number,
            action,
            start,
            end,
            is_optional: false,
        }
    }

    fn ask(&mut self, action: Action, time: u64) {
        assert!(
            self.open.is_none(),
            "a client does one thing after the other: {:?}",
            self.open
        );
        self.open = Some(self.operation(action, time, NEVER));
    }

    fn answered(&mut self, action: Action, event: &Event) -> Operation {
        match self.open.take() {
            Some(open) if open.action == action => open,
            open => panic!("{event}: the answer to {open:?}"),
        }
    }

    fn unknown(&mut self, operation: Operation) {
        self.operations.push(Operation {
            is_optional: true,
            ..operation
        });
        self.doubtful.get_or_insert(operation.start);
    }

    /// What may be left of unknown operations is lost by `end`.
    fn settle(&mut self, end: u64) {
        if self.depth == 0
            && let Some(start) = self.doubtful.take()
        {
            let lose = self.operation(Action::Lose, start, end);
            self.operations.push(Operation {
                is_optional: true,
                ..lose
            });
        }
    }

    /// The record stops here.
    fn finish(mut self) -> Vec<Operation> {
        if let Some(open) = self.open.take() {
            self.unknown(open);
        }
        if self.depth > 0 {
            self.doubtful = Some(self.valid);
            self.depth = 0;
        }
        self.settle(NEVER);
        self.operations
    }
}
