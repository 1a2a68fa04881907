//! A queue without a store, for functions with `crate = crate::double` and `on_conflict = "queue"`. A test gets hold
//! of the function by calling it, and runs it with arguments of its own.

#![allow(unreachable_pub, missing_docs)] // as in `double`

use crate::double::__private::{self, Ended, Returns, Spec};
use crate::double::{LostReason, note};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::any::{Any, TypeId};
use std::cell::Cell;
use std::collections::HashMap;
use std::fmt::Display;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use lock_runtime::__private::queue::{Shown, ShownByDebug, ShownByDisplay, ShownByType, ShownOtherwise};

thread_local! {
    static TAKEN: Cell<bool> = const { Cell::new(false) };
    static CALLED: Cell<Option<&'static Function>> = const { Cell::new(None) };
}

/// The next call meets a taken lock.
pub fn take_the_lock() {
    TAKEN.set(true);
}

/// The function that was called last.
pub fn called() -> &'static Function {
    CALLED.get().expect("a function was called")
}

pub type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

pub fn run_by_worker<F: Future<Output = ()> + Send + 'static>(run: F) -> Running {
    Box::pin(run)
}

pub struct Function {
    pub path: &'static str,
    pub delay: Duration,
    pub attempts: u32,
    pub states: &'static [StateType],
    pub run: fn(Execution) -> Running,
}

impl Function {
    pub const fn new(
        path: &'static str,
        delay: Duration,
        attempts: u32,
        states: &'static [StateType],
        run: fn(Execution) -> Running,
    ) -> Function {
        Function {
            path,
            delay,
            attempts,
            states,
            run,
        }
    }
}

pub struct Registered;

impl Registered {
    pub const fn new(_: &'static Function) -> Registered {
        Registered
    }
}

macro_rules! registered {
    ($($value:tt)*) => {
        const _: crate::double::__private::queue::Registered = $($value)*;
    };
}
pub(crate) use registered as submit;

pub struct StateType(pub fn() -> TypeId);

pub struct State<T>(PhantomData<fn() -> T>);

pub const fn state<T: Any>() -> State<T> {
    State(PhantomData)
}

impl<T: Any> State<T> {
    pub const fn state_type(&self) -> StateType {
        StateType(TypeId::of::<T>)
    }
    pub fn read<'a>(&self, execution: &'a Execution) -> Result<&'a T, String> {
        let state = execution.0.states.get(&TypeId::of::<T>());
        state
            .and_then(|state| state.downcast_ref())
            .ok_or_else(|| format!("no state {}", std::any::type_name::<T>()))
    }
}

pub struct Parameter<T> {
    name: &'static str,
    aliases: &'static [&'static str],
    default: Option<fn() -> T>,
}

pub const fn parameter<T: Serialize + DeserializeOwned>(name: &'static str) -> Parameter<T> {
    Parameter {
        name,
        aliases: &[],
        default: None,
    }
}

impl<T: Serialize + DeserializeOwned> Parameter<T> {
    pub const fn aliases(mut self, aliases: &'static [&'static str]) -> Parameter<T> {
        self.aliases = aliases;
        self
    }
    pub const fn default(mut self, default: fn() -> T) -> Parameter<T> {
        self.default = Some(default);
        self
    }
    pub fn read(&self, arguments: &Map<String, Value>) -> Result<T, String> {
        let mut names = std::iter::once(&self.name).chain(self.aliases);
        match (names.find_map(|name| arguments.get(*name)), self.default) {
            (Some(value), _) => serde_json::from_value(value.clone()).map_err(|error| error.to_string()),
            (None, Some(default)) => Ok(default()),
            (None, None) => Err(format!("no argument {}", self.name)),
        }
    }
}

pub struct Arguments(Map<String, Value>);

impl Arguments {
    #[allow(clippy::new_without_default)]
    pub fn new() -> Arguments {
        Arguments(Map::new())
    }
    pub fn with<T: Serialize>(mut self, parameter: &Parameter<T>, value: &T) -> Arguments {
        let value = serde_json::to_value(value).expect("the argument can be stored");
        self.0.insert(parameter.name.to_owned(), value);
        self
    }
}

/// A run, and what is told of it.
#[derive(Clone, Default)]
pub struct Execution(Arc<Inner>);

#[derive(Default)]
struct Inner {
    arguments: Map<String, Value>,
    states: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
    report: Mutex<String>,
}

impl Execution {
    /// With these arguments, and no states.
    pub fn of(arguments: &str) -> Execution {
        let arguments = serde_json::from_str(arguments).expect("the arguments are JSON");
        Execution(Arc::new(Inner {
            arguments,
            ..Inner::default()
        }))
    }
    /// And this state.
    pub fn lend<T: Any + Send + Sync>(mut self, value: T) -> Execution {
        let inner = Arc::get_mut(&mut self.0).expect("nobody runs it yet");
        inner.states.insert(TypeId::of::<T>(), Box::new(value));
        self
    }
    /// What was told.
    pub fn report(&self) -> String {
        self.0.report.lock().expect("nobody panicked").clone()
    }
    fn tell(&self, report: String) {
        *self.0.report.lock().expect("nobody panicked") = report;
    }
    pub fn arguments(&self) -> &Map<String, Value> {
        &self.0.arguments
    }
    pub async fn within<F: Future>(&self, call: F) -> F::Output {
        call.await
    }
    pub fn unreadable(&self, reason: String) {
        self.tell(format!("unreadable: {reason}"));
    }
    pub fn ended(&self, output: Result<(), String>) {
        self.tell(format!("ended: {output:?}"));
    }
}

pub struct ReturnsLater<R>(fn() -> R);

/// What a stored call gives back.
pub trait Queueable {
    fn queued() -> Self;
}

impl<E> Queueable for Result<(), E> {
    fn queued() -> Self {
        Ok(())
    }
}

pub const fn returns_or_queues<R: Queueable>() -> ReturnsLater<R> {
    ReturnsLater(R::queued)
}

pub enum Entered<R> {
    Held,
    Taken,
    #[allow(dead_code)] // what is over is the real one's to say
    Over(Box<Ended<R>>),
}

pub struct Call<R> {
    inner: __private::Call<R>,
    queued: fn() -> R,
}

impl<R> Call<R> {
    pub fn new(spec: &'static Spec, returns: ReturnsLater<R>, function: &'static Function) -> Call<R> {
        CALLED.set(Some(function));
        Call {
            inner: __private::Call::new(spec, Returns(PhantomData)),
            queued: returns.0,
        }
    }
    pub fn key(&mut self, key: String) {
        self.inner.key(key);
    }
    pub fn text(&mut self, text: &str) {
        self.inner.text(text);
    }
    pub fn part<V: Display + ?Sized>(&mut self, text: &str, value: &V) {
        self.inner.part(text, value);
    }
    pub fn manager<M: ?Sized>(&mut self, manager: &M) {
        self.inner.manager(manager);
    }
    pub async fn enter(&mut self) -> Entered<R> {
        self.inner.ask();
        if TAKEN.take() { Entered::Taken } else { Entered::Held }
    }
    pub async fn run<F: Future<Output = R>>(&mut self, body: Pin<&mut F>) -> Ended<R> {
        self.inner.run(body).await
    }
    pub async fn store(&mut self, arguments: Arguments) -> Ended<R> {
        note(Value::from(arguments.0).to_string());
        Ended::Finished((self.queued)())
    }
    pub async fn end(&mut self, ended: Ended<R>) -> R {
        self.inner.end(ended).await
    }
    pub async fn end_or_lost(&mut self, ended: Ended<R>) -> Result<R, LostReason> {
        self.inner.end_or_lost(ended).await
    }
}
