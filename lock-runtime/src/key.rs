//! The lock's name: raw keys, keys from segments, keys from the attribute's template.

use std::cmp::Ordering;
use std::fmt::{self, Display, Write};
use std::hash::{Hash, Hasher};

use percent_encoding::percent_encode_byte;

use crate::LockError;

/// The longest key, in bytes after encoding and without the namespace.
const MAX_BYTES: usize = 1_024;

/// The name of a lock, without the manager's namespace.
///
/// `Key::from` takes a text as it is and leaves the check to the moment of use; [`Key::new`] checks at once;
/// [`Key::from_segments`] encodes values so that they cannot collide. It displays as the encoded key.
#[derive(Clone)]
pub struct Key {
    /// The key, behind the namespace of the manager that it was last given to: the lock's name is no text of its own.
    text: String,
    /// Where the key begins.
    start: usize,
}

impl Key {
    /// Takes `key` as it is and checks it.
    ///
    /// # Errors
    ///
    /// [`LockError::InvalidKey`] when it is empty or has more than 1,024 bytes.
    pub fn new(key: impl Into<String>) -> Result<Self, LockError> {
        let key = Self::from(key.into());
        key.check()?;
        Ok(key)
    }

    /// Encodes each segment and joins them with `:`, so that two different lists never make the same key.
    ///
    /// ```
    /// # use lock_runtime::Key;
    /// assert_eq!(Key::from_segments(["order", "1:2", "3"]).as_str(), "order:1%3A2:3");
    /// ```
    ///
    /// The length is checked when the key is used. No segment at all makes the same as one that is empty: the empty key,
    /// which is refused then.
    pub fn from_segments<I>(segments: I) -> Self
    where
        I: IntoIterator,
        I::Item: Display,
    {
        let mut text = String::new();
        for (index, segment) in segments.into_iter().enumerate() {
            if index > 0 {
                text.push(':');
            }
            encode_into(&mut text, &segment);
        }
        Self::from(text)
    }

    /// The key as text, encoded, without the namespace.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // It begins where the namespace ends.
        self.text.get(self.start..).unwrap_or_default()
    }

    /// The full name of the lock: behind the namespace, if the key is [in](Self::put_in) one.
    pub(crate) fn name(&self) -> &str {
        &self.text
    }

    /// Puts it in a namespace, instead of the one where it was.
    pub(crate) fn put_in(&mut self, namespace: &str) {
        if self.start > 0 {
            self.text.drain(..self.start);
        }
        self.text.insert_str(0, namespace);
        self.start = namespace.len();
    }

    /// The beginning of a key from a template.
    pub(crate) const fn of_template() -> Self {
        Self {
            text: String::new(),
            start: 0,
        }
    }

    pub(crate) fn text_mut(&mut self) -> &mut String {
        if self.text.capacity() == 0 {
            // Most keys are a word, a separator and a number or a UUID.
            self.text.reserve(48);
        }
        &mut self.text
    }

    pub(crate) fn check(&self) -> Result<(), LockError> {
        match self.text.len() - self.start {
            1..=MAX_BYTES => Ok(()),
            length => Err(self.bad_length(length)),
        }
    }

    #[cold]
    fn bad_length(&self, length: usize) -> LockError {
        let reason = if length == 0 {
            "it is empty; a key needs at least one character".to_owned()
        } else {
            format!(
                "it has {length} bytes after encoding, at most {MAX_BYTES} are allowed; use a shorter identifier or a hash"
            )
        };
        LockError::InvalidKey {
            key: self.shortened(),
            reason,
        }
    }

    /// At most 80 characters of it: an error text is no place for megabytes.
    pub(crate) fn shortened(&self) -> Self {
        let key = self.as_str();
        match key.char_indices().nth(80) {
            None => self.clone(),
            Some((end, _)) => Self::from(format!("{}…", &key[..end])),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.as_str()).finish()
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl From<String> for Key {
    fn from(key: String) -> Self {
        Self { text: key, start: 0 }
    }
}

impl From<&str> for Key {
    fn from(key: &str) -> Self {
        Self::from(key.to_owned())
    }
}

impl From<&String> for Key {
    fn from(key: &String) -> Self {
        Self::from(key.clone())
    }
}

impl From<&Key> for Key {
    fn from(key: &Key) -> Self {
        key.clone()
    }
}

impl AsRef<str> for Key {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Puts `value` into `text`, percent-encoding what a template or `from_segments` uses as structure.
pub(crate) fn encode_into(text: &mut String, value: &(impl Display + ?Sized)) {
    // Writing into a String cannot fail, and a `Display` that reports an error of its own has written what it
    // could: the same as `ToString`, without its panic.
    let _ = write!(Encoder(text), "{value}");
}

/// Encodes while it is written to, so that no value is copied twice.
struct Encoder<'a>(&'a mut String);

impl Write for Encoder<'_> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        // Numbers and words are most of all values.
        if part.bytes().all(|byte| PLAIN[usize::from(byte)]) {
            self.0.push_str(part);
            return Ok(());
        }
        for character in part.chars() {
            if must_be_encoded(character) {
                let mut bytes = [0; 4];
                for byte in character.encode_utf8(&mut bytes).bytes() {
                    self.0.push_str(percent_encode_byte(byte));
                }
            } else {
                self.0.push(character);
            }
        }
        Ok(())
    }
}

/// The separators that a template may put between two values, what would be mistaken for an encoded byte, the
/// braces of a Redis Cluster hash tag, and what cannot be read in a log.
const fn must_be_encoded(character: char) -> bool {
    matches!(character, '\0'..=' ' | '%' | ':' | '/' | '|' | '#' | '{' | '}' | '\u{7f}'..='\u{9f}')
}

/// Which bytes are characters that stay as they are.
static PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        plain[byte as usize] = !must_be_encoded(byte as char);
        byte += 1_u8;
    }
    plain
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_in_values_are_encoded() {
        let key = Key::from_segments(["a b", "%:/|#{}", "\n\u{85}"]);
        assert_eq!(key.as_str(), "a%20b:%25%3A%2F%7C%23%7B%7D:%0A%C2%85");
    }

    #[test]
    fn exactly_what_is_structure_or_cannot_be_read_is_encoded() {
        for character in '\0'..='\u{3000}' {
            let encoded = character.is_control() || " %:/|#{}".contains(character);
            assert_eq!(must_be_encoded(character), encoded, "{character:?}");
            let text = character.to_string();
            assert_eq!(Key::from_segments([&text]).as_str() != text, encoded, "{character:?}");
        }
    }

    #[test]
    fn letters_of_every_alphabet_stay() {
        assert_eq!(Key::from_segments(["Zoë", "注文"]).as_str(), "Zoë:注文");
    }

    #[test]
    fn the_only_key_that_two_lists_make_is_refused() {
        let none: [&str; 0] = [];
        assert_eq!(Key::from_segments(none), Key::from_segments([""]));
        assert!(Key::from_segments(none).check().is_err());
        assert!(Key::from_segments(["", ""]).check().is_ok());
    }

    #[test]
    fn the_empty_key_is_refused() {
        let error = Key::new("").unwrap_err();
        assert!(error.to_string().contains("it is empty"), "{error}");
    }

    #[test]
    fn an_error_shows_the_beginning_of_a_long_key() {
        let shown = |length: usize| Key::from("é".repeat(length)).shortened().to_string();
        assert_eq!(shown(80), "é".repeat(80));
        assert_eq!(shown(81), "é".repeat(80) + "…");
    }

    #[test]
    fn a_key_is_made_of_any_text_as_it_is() {
        let text = String::from("a:%b");
        let key = Key::from(&text);
        assert_eq!(key, Key::from(text.as_str()));
        assert_eq!(key, Key::from(text.clone()));
        assert_eq!(key, Key::from(&key));
        assert_eq!((key.as_ref(), key.to_string()), ("a:%b", text));
    }

    #[test]
    fn a_key_is_the_same_in_every_namespace() {
        let (mut key, plain) = (Key::from("k"), Key::from("k"));
        for (namespace, name) in [("lock:", "lock:k"), ("", "k"), ("é:", "é:k"), ("lock:", "lock:k")] {
            key.put_in(namespace);
            assert_eq!((key.name(), key.as_str()), (name, "k"));
            assert_eq!(
                (&key, key.cmp(&plain), format!("{key:?}")),
                (&plain, Ordering::Equal, r#"Key("k")"#.to_owned())
            );
            assert!(std::collections::HashSet::from([key.clone()]).contains(&plain));
        }
        key = Key::from("é".repeat(1_000));
        key.put_in("lock:");
        assert_eq!(key.shortened().to_string(), "é".repeat(80) + "…");
        assert!(key.check().is_err());
    }

    #[test]
    fn a_long_key_is_refused_with_its_length() {
        let error = Key::new("x".repeat(1_025)).unwrap_err();
        assert!(error.to_string().contains("1025 bytes"), "{error}");
        assert!(Key::new("x".repeat(1_024)).is_ok());
    }
}
