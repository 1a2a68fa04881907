//! The five locks that a history is compared with.
//!
//! As in github.com/hazelcast/jepsen, `hazelcast/src/jepsen/hazelcast.clj`.

use super::Action;

/// A lock as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// Held by nobody or by somebody; anybody may release.
    Mutex,
    /// Only its owner may release.
    OwnerAware,
    /// Its owner may enter twice.
    Reentrant,
    /// Owner aware, and every new owner has a greater fence than all before.
    Fenced,
    /// Re-entrant, and a re-entry has the fence of its hold.
    ReentrantFenced,
}

/// How often a re-entrant lock may be entered.
const HOLDS: usize = 2;

/// A lock's state, under every model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct State {
    owner: Option<usize>,
    holds: usize,
    /// The owner's fence, if it is known.
    fence: Option<u64>,
    /// The greatest fence so far.
    highest: Option<u64>,
}

impl Model {
    /// All of them.
    pub const ALL: [Model; 5] = [
        Model::Mutex,
        Model::OwnerAware,
        Model::Reentrant,
        Model::Fenced,
        Model::ReentrantFenced,
    ];

    /// Whether it has re-entries.
    #[must_use]
    pub fn is_reentrant(self) -> bool {
        matches!(self, Model::Reentrant | Model::ReentrantFenced)
    }

    fn is_fenced(self) -> bool {
        matches!(self, Model::Fenced | Model::ReentrantFenced)
    }

    /// The state after `action`, or why the lock does not allow it.
    pub(super) fn step(self, state: State, client: usize, action: Action) -> Result<State, &'static str> {
        match action {
            Action::Acquire(fence) => match state.owner {
                None => self.take(state, client, fence),
                Some(owner) if owner == client && self.is_reentrant() => self.enter(state, fence),
                Some(_) => Err("the lock is held"),
            },
            Action::Release => match state.owner {
                None => Err("the lock is not held"),
                Some(owner) if owner != client && self != Model::Mutex => Err("another client holds the lock"),
                Some(_) if state.holds > 1 => Ok(State {
                    holds: state.holds - 1,
                    ..state
                }),
                Some(_) => Ok(left(state)),
            },
            // Its own only, under every model: nobody loses what another one has.
            Action::Lose => match state.owner {
                Some(owner) if owner == client => Ok(left(state)),
                _ => Err("the client does not hold the lock"),
            },
        }
    }

    fn take(self, state: State, client: usize, fence: Option<u64>) -> Result<State, &'static str> {
        let fence = fence.filter(|_| self.is_fenced());
        if fence.is_some() && fence <= state.highest {
            return Err("the fence is not greater than all before");
        }
        Ok(State {
            owner: Some(client),
            holds: 1,
            fence,
            highest: state.highest.max(fence),
        })
    }

    fn enter(self, state: State, fence: Option<u64>) -> Result<State, &'static str> {
        if state.holds == HOLDS {
            return Err("the lock was entered too often");
        }
        let known = if self.is_fenced() { fence.or(state.fence) } else { None };
        if state.fence.is_some() && known != state.fence {
            return Err("a re-entry has another fence than its hold");
        }
        if state.fence.is_none() && known.is_some() && known <= state.highest {
            return Err("the fence is not greater than all before");
        }
        Ok(State {
            holds: state.holds + 1,
            fence: known,
            highest: state.highest.max(known),
            ..state
        })
    }
}

fn left(state: State) -> State {
    State {
        owner: None,
        holds: 0,
        fence: None,
        highest: state.highest,
    }
}
