//! The search for an order of all operations that a model allows (Wing and Gong 1993; with a memory of what was tried,
//! Lowe 2017). Its time grows with how much happened at once, and it is for short histories.

use std::collections::HashSet;

use super::model::State;
use super::{History, Model, Operation};

/// What came of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// There is an order.
    Allowed,
    /// There is none.
    Refused {
        /// How many operations an order could take in.
        reached: usize,
        /// The operation that had to come next there, and why it could not.
        because: String,
    },
    /// It took more than so many steps.
    Undecided,
}

/// Where a search stands: which operations have happened, and what the lock is like.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
struct Place {
    /// All operations before this one have happened, or are optional.
    first: usize,
    /// Of those after it, these have happened.
    further: Vec<usize>,
    /// Optional ones before it, that have not happened and still may.
    waiting: Vec<usize>,
    /// The latest beginning of what has happened: nothing that comes next can have happened before.
    reached: u64,
    /// How many have happened.
    count: usize,
    state: State,
}

/// Looks for an order that `model` allows. Re-entries are left out for models that have none.
#[must_use]
pub fn search(history: &History, model: Model, most_steps: usize) -> Judgement {
    let history = if model.is_reentrant() {
        history.clone()
    } else {
        history.outermost()
    };
    let operations = &history.operations;
    let start = Place::default();
    let mut seen = HashSet::from([start.clone()]);
    let mut stack = vec![start];
    let mut furthest = (0, String::new());
    let mut steps = 0;
    while let Some(place) = stack.pop() {
        let open = open(operations, &place);
        if open.iter().all(|index| operations[*index].is_optional) {
            return Judgement::Allowed;
        }
        // What ends first is tried first: it comes last on the stack.
        for index in open.into_iter().rev() {
            steps += 1;
            if steps > most_steps {
                return Judgement::Undecided;
            }
            let operation = operations[index];
            match model.step(place.state, operation.client, operation.action) {
                Ok(state) => {
                    let next = place.with(index, state, operations);
                    if seen.insert(next.clone()) {
                        stack.push(next);
                    }
                }
                Err(because) => {
                    if place.count >= furthest.0 && !operation.is_optional {
                        furthest = (place.count, format!("{operation:?}: {because}"));
                    }
                }
            }
        }
    }
    Judgement::Refused {
        reached: furthest.0,
        because: furthest.1,
    }
}

/// The operations that may come next, by their ends: none that begins after another one must have happened.
fn open(operations: &[Operation], place: &Place) -> Vec<usize> {
    let mut must_be_over = u64::MAX;
    let mut open = place.waiting.clone();
    for index in (place.first..operations.len()).filter(|index| !place.further.contains(index)) {
        let operation = operations[index];
        if operation.start > must_be_over {
            break;
        }
        if !operation.is_optional {
            must_be_over = must_be_over.min(operation.end);
        }
        open.push(index);
    }
    open.retain(|index| operations[*index].start <= must_be_over && operations[*index].end >= place.reached);
    open.sort_by_key(|index| (operations[*index].is_optional, operations[*index].end));
    open
}

impl Place {
    fn with(&self, index: usize, state: State, operations: &[Operation]) -> Place {
        let mut next = self.clone();
        next.state = state;
        next.count += 1;
        next.reached = self.reached.max(operations[index].start);
        next.waiting.retain(|waiting| *waiting != index);
        if index >= self.first {
            next.further.push(index);
            next.further.sort_unstable();
        }
        while let Some(operation) = operations.get(next.first) {
            if let Some(position) = next.further.iter().position(|further| *further == next.first) {
                next.further.remove(position);
            } else if operation.is_optional {
                next.waiting.push(next.first);
            } else {
                break;
            }
            next.first += 1;
        }
        let reached = next.reached;
        next.waiting.retain(|waiting| operations[*waiting].end >= reached);
        next
    }
}
