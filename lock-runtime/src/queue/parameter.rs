//! One parameter of a function whose calls may be stored: how it becomes JSON, and a value again.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A type that an argument of a stored call may have. Only a name for `Serialize + DeserializeOwned`, so that the
/// compiler's message can say what to write.
#[diagnostic::on_unimplemented(
    message = "a parameter of type `{Self}` cannot be stored for a later call",
    label = "`on_conflict = \"queue\"` stores the arguments, so this type must be `serde::Serialize` and `serde::Deserialize`",
    note = "write `#[derive(serde::Serialize, serde::Deserialize)]` on `{Self}`, or on the types in it; or, for what the worker has itself (a connection, a client), `#[state] name: &{Self}`"
)]
pub trait Argument: Sized {
    /// As JSON.
    #[doc(hidden)]
    fn store(&self) -> Result<Value, serde_json::Error>;
    /// From JSON.
    #[doc(hidden)]
    fn restore(value: Value) -> Result<Self, serde_json::Error>;
}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned> Argument for T {
    fn store(&self) -> Result<Value, serde_json::Error> {
        serde_json::to_value(self)
    }

    fn restore(value: Value) -> Result<Self, serde_json::Error> {
        serde_json::from_value(value)
    }
}

/// A parameter, found once at its type and then passed along, so that a type that cannot be stored is one compile
/// error and not two.
pub struct Parameter<T> {
    name: &'static str,
    /// Names that it had in earlier versions of the program.
    aliases: &'static [&'static str],
    store: fn(&T) -> Result<Value, serde_json::Error>,
    restore: fn(Value) -> Result<T, serde_json::Error>,
    /// Its value in calls that were stored before it was added.
    default: Option<fn() -> T>,
}

/// The parameter `name`.
#[must_use]
pub const fn parameter<T: Argument>(name: &'static str) -> Parameter<T> {
    Parameter {
        name,
        aliases: &[],
        store: T::store,
        restore: T::restore,
        default: None,
    }
}

impl<T> Parameter<T> {
    /// Calls that were stored under these names are understood.
    #[must_use]
    pub const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// Calls that were stored without it get this value.
    #[must_use]
    pub const fn default(mut self, default: fn() -> T) -> Self {
        self.default = Some(default);
        self
    }

    /// Its value among the arguments of a stored call.
    ///
    /// # Errors
    ///
    /// When it is not there, or is nothing of this type; with what to do.
    pub fn read(&self, arguments: &Stored) -> Result<T, Unreadable> {
        let names = std::iter::once(&self.name).chain(self.aliases);
        let found = names.filter_map(|name| arguments.0.get(*name)).next();
        match (found, self.default) {
            (Some(value), _) => (self.restore)(value.clone()).map_err(|error| {
                Unreadable::argument(format!("the argument `{}` cannot be read: {error}", self.name))
            }),
            (None, Some(default)) => Ok(default()),
            // As serde does with a missing `Option`: null is its `None`, and nothing of other types.
            (None, None) => (self.restore)(Value::Null).map_err(|_| {
                Unreadable::argument(format!(
                    "the argument `{}` is missing: it was stored before that parameter was added or renamed; write `#[serde(default)]` or `#[serde(alias = \"former name\")]` on the parameter",
                    self.name
                ))
            }),
        }
    }
}

/// The arguments of a stored call, by name.
#[derive(Debug, Clone, Default)]
pub struct Stored(pub(super) serde_json::Map<String, Value>);

/// Why a stored call cannot be run by this worker.
#[derive(Debug)]
pub struct Unreadable {
    pub(super) reason: String,
    /// It lacks a state, and another worker may have it; otherwise the arguments are not those of this version of the
    /// program.
    pub(super) lacks_state: bool,
}

impl Unreadable {
    fn argument(reason: String) -> Self {
        Self {
            reason,
            lacks_state: false,
        }
    }
}

/// The arguments of a call that is about to be stored.
#[must_use]
pub struct Arguments(pub(super) Result<serde_json::Map<String, Value>, Unstorable>);

/// An argument that does not serialize, or not so that it can be read again.
pub(super) struct Unstorable {
    pub(super) name: &'static str,
    pub(super) error: serde_json::Error,
}

impl Arguments {
    /// None yet.
    #[allow(clippy::new_without_default, reason = "made by the attribute's expansion only")]
    pub fn new() -> Self {
        Self(Ok(serde_json::Map::new()))
    }

    /// And this one.
    pub fn with<T>(mut self, parameter: &Parameter<T>, value: &T) -> Self {
        if let Ok(arguments) = &mut self.0 {
            // Read back at once: what JSON cannot say (a float that is no number, say) is told to the caller, and not to
            // whoever looks at the dead letters.
            let stored = (parameter.store)(value).and_then(|value| (parameter.restore)(value.clone()).map(|_| value));
            match stored {
                Ok(value) => drop(arguments.insert(parameter.name.to_owned(), value)),
                Err(error) => {
                    let name = parameter.name;
                    self.0 = Err(Unstorable { name, error });
                }
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(json: &str) -> Stored {
        Stored(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn arguments_come_back_by_their_names() {
        const ID: Parameter<u64> = parameter("id");
        const NOTE: Parameter<Option<String>> = parameter("note");
        let Ok(arguments) = Arguments::new().with(&ID, &7).with(&NOTE, &None).0 else {
            panic!("both can be stored");
        };
        let arguments = Stored(arguments);
        assert_eq!(ID.read(&arguments).unwrap(), 7);
        assert_eq!(NOTE.read(&arguments).unwrap(), None);
    }

    #[test]
    fn an_argument_that_could_not_be_read_again_is_not_stored() {
        const PRICE: Parameter<f64> = parameter("price");
        assert!(Arguments::new().with(&PRICE, &1.5).0.is_ok());
        assert!(matches!(
            Arguments::new().with(&PRICE, &f64::NAN).0,
            Err(Unstorable { name: "price", .. })
        ));
    }

    #[test]
    fn what_another_version_stored_is_understood_where_the_parameter_says_how() {
        const ID: Parameter<u64> = parameter("id").aliases(&["order", "number"]);
        const COPIES: Parameter<u32> = parameter("copies").default(|| 3);
        const NOTE: Parameter<Option<String>> = parameter("note");
        let old = stored(r#"{"number": 7, "removed": true}"#);
        assert_eq!(ID.read(&old).unwrap(), 7);
        assert_eq!(COPIES.read(&old).unwrap(), 3);
        assert_eq!(NOTE.read(&old).unwrap(), None);
    }

    #[test]
    fn what_is_missing_or_of_another_type_is_said_by_name() {
        const ID: Parameter<u64> = parameter("id");
        let reason = |json| ID.read(&stored(json)).unwrap_err().reason;
        assert!(reason("{}").contains("`id` is missing"), "{}", reason("{}"));
        assert!(reason(r#"{"id": "x"}"#).contains("`id` cannot be read"));
    }
}
