//! What the attribute's `key` and `manager` become: checked by traits, so that a wrong type is one clear error.

use std::fmt::Display;
use std::sync::Arc;

use crate::key::encode_into;
use crate::manager::Shared;
use crate::{Key, LockManager};

/// A key under construction: the literal text of a template, and its values, encoded.
pub struct Template(Key);

impl Template {
    /// Starts a key.
    #[must_use]
    pub const fn new() -> Self {
        Self(Key::of_template())
    }

    /// A key as it is.
    pub(crate) fn of(key: Key) -> Self {
        Self(key)
    }

    #[cfg(feature = "queue")]
    pub(crate) fn so_far(&self) -> &Key {
        &self.0
    }

    /// Adds text that the template has as written.
    pub fn text(&mut self, text: &str) {
        self.0.text_mut().push_str(text);
    }

    /// Adds text as written, and the value of the placeholder behind it.
    pub fn part<V: KeyValue + ?Sized>(&mut self, text: &str, value: &V) {
        self.text(text);
        value.write_into(self.0.text_mut());
    }

    /// The key.
    #[must_use]
    pub fn key(self) -> Key {
        self.0
    }
}

impl Default for Template {
    fn default() -> Self {
        Self::new()
    }
}

/// A value that may stand in a template. Only a name for `Display`, so that the compiler's message can say what to
/// write.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be part of a lock key, because it does not implement `Display`",
    label = "this placeholder's value has no text form",
    note = "name a field or call a method in the placeholder, as in `<order.id>` or `<path.display()>`, or implement `std::fmt::Display` for `{Self}`"
)]
pub trait KeyValue {
    /// Writes the encoded value.
    fn write_into(&self, text: &mut String);
}

#[diagnostic::do_not_recommend]
impl<T: Display + ?Sized> KeyValue for T {
    fn write_into(&self, text: &mut String) {
        encode_into(text, self);
    }
}

/// What the expression form of `key` may be. Only a name for `Into<Key>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no lock key",
    label = "`key` takes a template such as \"order:<id>\", or an expression that is a `Key`, `String` or `&str`",
    note = "write the template form `key = \"name:<parameter>\"`, or convert: `key = Key::from_segments([…])`, `key = format!(…)`"
)]
pub trait IntoKey {
    /// The conversion.
    fn into_key(self) -> Key;
}

#[diagnostic::do_not_recommend]
impl<K: Into<Key>> IntoKey for K {
    fn into_key(self) -> Key {
        self.into()
    }
}

/// Takes the expression form of `key`.
pub fn key<K: IntoKey>(key: K) -> Key {
    key.into_key()
}

/// What the option `manager` may be. Only a name for `AsRef<LockManager>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no lock manager",
    label = "`manager` takes an expression that is a `LockManager`, `&LockManager` or `AsRef<LockManager>`",
    note = "pass the manager itself, as in `manager = self.locks`, or implement `AsRef<lock_runtime::LockManager>` for `{Self}`"
)]
pub trait ManagerRef {
    /// The manager.
    fn manager(&self) -> &LockManager;
}

#[diagnostic::do_not_recommend]
impl<M: AsRef<LockManager> + ?Sized> ManagerRef for M {
    fn manager(&self) -> &LockManager {
        self.as_ref()
    }
}

/// A manager that a call is to ask, without what a compiler would look at in it for each function.
pub(crate) trait Asked: Send + Sync {
    fn manager(self: Arc<Self>) -> LockManager;
}

impl Asked for Shared {
    fn manager(self: Arc<Self>) -> LockManager {
        LockManager(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_stay_and_values_are_encoded() {
        let mut key = Template::new();
        key.part("a:", "b:c");
        key.part("/", &7);
        key.text("/:");
        assert_eq!(key.key().as_str(), "a:b%3Ac/7/:");
    }

    #[test]
    fn an_expression_is_the_key_as_it_is() {
        assert_eq!(key("a:b").as_str(), "a:b");
        assert_eq!(key(String::from("c")), Key::from("c"));
    }
}
