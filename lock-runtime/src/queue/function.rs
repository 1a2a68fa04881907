//! The functions of this program whose calls may be stored, and how a worker finds them.

use std::any::{Any, TypeId, type_name};
use std::collections::BTreeMap;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::time::Duration;

use super::execution::Execution;
use super::parameter::Unreadable;
use super::worker::States;
use crate::LockError;

/// The run of one stored call. It leaves its result with its [`Execution`].
pub type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// An annotated function as a worker sees it.
pub struct Function {
    pub(super) path: &'static str,
    pub(super) delay: Duration,
    pub(super) attempts: u32,
    states: &'static [StateType],
    pub(super) run: fn(Execution) -> Running,
}

impl Function {
    /// The function at `path`, with the options `delay` and `attempts` of its attribute.
    #[must_use]
    pub const fn new(
        path: &'static str,
        delay: Duration,
        attempts: u32,
        states: &'static [StateType],
        run: fn(Execution) -> Running,
    ) -> Self {
        Self {
            path,
            delay,
            attempts,
            states,
            run,
        }
    }
}

/// The future of a run. Only a function, so that a body that cannot go from thread to thread is one error, at the
/// function's name.
pub fn run_by_worker<F: Future<Output = ()> + Send + 'static>(run: F) -> Running {
    Box::pin(run)
}

/// A `#[state]` parameter, found once at its type and then passed along, as a [`Parameter`](super::parameter::Parameter)
/// is.
pub struct State<T>(PhantomData<fn() -> T>);

/// A state of the type `T`. That it can be shared is asked where the worker is given it, and where it is lent.
#[must_use]
pub const fn state<T: Any>() -> State<T> {
    State(PhantomData)
}

impl<T: Any> State<T> {
    /// For the worker, which must have a value of it.
    #[must_use]
    pub const fn state_type(&self) -> StateType {
        StateType {
            id: TypeId::of::<T>,
            name: type_name::<T>,
        }
    }

    /// The worker's value.
    ///
    /// # Errors
    ///
    /// When it has none, which a worker that has started never comes to.
    pub fn read<'a>(&self, execution: &'a Execution) -> Result<&'a T, Unreadable> {
        execution.state()
    }
}

/// The type of a `#[state]` parameter.
pub struct StateType {
    id: fn() -> TypeId,
    name: fn() -> &'static str,
}

/// An entry of the list that is made when the program is linked.
pub struct Registered(&'static Function);

impl Registered {
    /// Adds `function` to the list.
    #[must_use]
    pub const fn new(function: &'static Function) -> Self {
        Self(function)
    }
}

inventory::collect!(Registered);

/// Every function of the program, by its path.
pub(super) struct Functions(BTreeMap<&'static str, &'static Function>);

impl Functions {
    /// # Errors
    ///
    /// [`LockError::InvalidWorker`] when two functions have one path, or one has two `#[state]` of one type.
    pub(super) fn of_this_program() -> Result<Self, LockError> {
        Self::of(inventory::iter::<Registered>().map(|registered| registered.0))
    }

    fn of(functions: impl Iterator<Item = &'static Function>) -> Result<Self, LockError> {
        let mut by_path = BTreeMap::new();
        for function in functions {
            let path = function.path;
            if by_path.insert(path, function).is_some() {
                return Err(invalid(format!(
                    "two functions with `on_conflict = \"queue\"` have the path `{path}`, and a stored call could not tell them apart; give one of them another name"
                )));
            }
            if let Some(place) = twice(function.states) {
                return Err(invalid(format!(
                    "`{path}` has two `#[state]` parameters of the type `{}`; a worker has one value of each type: wrap one of them in a type of its own",
                    (function.states[place].name)()
                )));
            }
        }
        Ok(Self(by_path))
    }

    /// What `states` lacks for some of them: a program may have functions that other workers run.
    pub(super) fn lacking<'a>(&'a self, states: &'a States) -> impl Iterator<Item = String> + 'a {
        self.0.values().flat_map(move |function| {
            let missing = function.states.iter().filter(|state| !states.has((state.id)()));
            missing.map(|state| lacks(function.path, (state.name)()))
        })
    }

    pub(super) fn get(&self, path: &str) -> Option<&'static Function> {
        self.0.get(path).copied()
    }
}

/// What is said where a worker lacks a state.
pub(super) fn lacks(path: &str, state: &str) -> String {
    format!(
        "this worker cannot run `{path}`, which needs a state of the type `{state}`; write `manager.worker().state(…)` with a value of it"
    )
}

/// The place of a type that stands there before.
fn twice(states: &[StateType]) -> Option<usize> {
    (1..states.len()).find(|&place| {
        states[..place]
            .iter()
            .any(|before| (before.id)() == (states[place].id)())
    })
}

fn invalid(reason: String) -> LockError {
    LockError::InvalidWorker { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing(_: Execution) -> Running {
        Box::pin(std::future::ready(()))
    }

    static SHIP: Function = Function::new("shop::ship", Duration::ZERO, 1, &[state::<u8>().state_type()], nothing);
    static TWIN: Function = Function::new("shop::ship", Duration::ZERO, 1, &[], nothing);
    static ALIASED: Function = Function::new(
        "shop::bill",
        Duration::ZERO,
        1,
        &[state::<u8>().state_type(), state::<u8>().state_type()],
        nothing,
    );

    fn refusal(functions: &[&'static Function]) -> String {
        match Functions::of(functions.iter().copied()) {
            Ok(_) => panic!("they were taken"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_function_is_found_by_its_path() {
        let functions = Functions::of([&SHIP].into_iter()).ok().unwrap();
        assert!(functions.get("shop::ship").is_some());
        assert!(functions.get("shop::bill").is_none());
    }

    #[test]
    fn what_only_linking_can_tell_is_said_when_the_worker_starts() {
        assert!(refusal(&[&SHIP, &TWIN]).contains("have the path `shop::ship`"));
        assert!(refusal(&[&ALIASED]).contains("two `#[state]` parameters of the type `u8`"));
    }

    #[test]
    fn the_states_that_a_worker_lacks_are_named() {
        let functions = Functions::of([&SHIP].into_iter()).ok().unwrap();
        assert_eq!(functions.lacking(&States::default().with(7_u8)).count(), 0);
        let lacking: Vec<_> = functions.lacking(&States::default()).collect();
        assert!(
            matches!(lacking.as_slice(), [one] if one.contains("`shop::ship`") && one.contains("`u8`")),
            "{lacking:?}"
        );
    }
}
