//! Keys from segments: two different lists never make one key, and the values can be had back.
#![no_main]

use std::fmt;

use libfuzzer_sys::fuzz_target;
use lock_runtime::Key;

/// Between two segments in the input.
const NEXT: char = '\u{1e}';
/// Between the two lists.
const OTHER: char = '\u{1d}';

fuzz_target!(|text: &str| {
    let (one, other) = text.split_once(OTHER).unwrap_or((text, ""));
    let (one, other) = (list(one), list(other));
    let (key, other_key) = (Key::from_segments(&one), Key::from_segments(&other));
    if one == other {
        assert_eq!(key, other_key);
    } else if key == other_key {
        // No segment at all and one empty segment: the empty key, which nothing can be locked by.
        assert!(Key::new(key.as_str()).is_err(), "{one:?} and {other:?} both make {key}");
    }
    if !one.is_empty() {
        let back: Vec<_> = key.as_str().split(':').map(decoded).collect();
        assert_eq!(back, one, "{key}");
    }
    assert!(
        !key.as_str().contains(|c: char| c.is_control() || " /|#{}".contains(c)),
        "{key} holds what must be encoded"
    );
    let pieces = one.iter().map(|segment| InPieces(segment));
    assert_eq!(Key::from_segments(pieces), key, "a value that is written in pieces");
});

fn list(text: &str) -> Vec<String> {
    if text.is_empty() {
        return Vec::new();
    }
    text.split(NEXT).map(str::to_owned).collect()
}

fn decoded(segment: &str) -> String {
    let bytes = percent_encoding::percent_decode_str(segment);
    bytes.decode_utf8().expect("what was encoded was text").into_owned()
}

/// A `Display` that writes one character at a time.
struct InPieces<'a>(&'a str);

impl fmt::Display for InPieces<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| write!(f, "{character}"))
    }
}
