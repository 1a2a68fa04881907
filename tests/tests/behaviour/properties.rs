//! Section 3, for all values: no two lists of values make one key.

use std::collections::HashSet;

use lock_runtime::{Key, LockError, LockManager, distributed_lock};
use proptest::prelude::*;

use crate::support::{key_here, runtime};

#[distributed_lock(key = "p:<a>:<b>/<c>|<d>#<e>", manager = locks)]
async fn key_of(locks: &LockManager, a: &str, b: &str, c: &str, d: &str, e: &str) -> Result<String, LockError> {
    Ok(key_here())
}

#[distributed_lock(key = "<a>:<b>", manager = locks)]
async fn key_of_two(locks: &LockManager, a: &str, b: &str) -> Result<String, LockError> {
    Ok(key_here())
}

fn key(values: &[String; 5]) -> String {
    let [a, b, c, d, e] = values;
    runtime()
        .block_on(key_of(&LockManager::in_memory(), a, b, c, d, e))
        .unwrap()
}

/// What the contract says of one value, written down again.
fn encoded(value: &str) -> String {
    let mut encoded = String::new();
    for character in value.chars() {
        if character.is_control() || " %:/|#{}".contains(character) {
            let mut buffer = [0; 4];
            for byte in character.encode_utf8(&mut buffer).bytes() {
                encoded.push_str(&format!("%{byte:02X}"));
            }
        } else {
            encoded.push(character);
        }
    }
    encoded
}

/// The way back, from any key of [`key_of`].
fn decoded(key: &str) -> Vec<String> {
    let values = key.strip_prefix("p:").unwrap();
    let decode = |value: &str| {
        percent_encoding::percent_decode_str(value)
            .decode_utf8()
            .unwrap()
            .into_owned()
    };
    values.split([':', '/', '|', '#']).map(decode).collect()
}

/// Short texts, rich in what matters to the encoding, and now and then anything at all.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ab%:/|#{}<> 23AF\u{0}\n\u{7f}\u{85}]{0,6}",
        any::<String>().prop_map(|text| text.chars().take(20).collect()),
        any::<u64>().prop_map(|number| number.to_string()),
    ]
}

fn values() -> impl Strategy<Value = [String; 5]> {
    [value(), value(), value(), value(), value()]
}

proptest! {
    #[test]
    fn a_key_gives_back_the_values_that_made_it(values in values()) {
        prop_assert_eq!(decoded(&key(&values)), values);
    }

    #[test]
    fn a_key_is_the_template_with_each_value_encoded(values in values()) {
        let [a, b, c, d, e] = values.clone().map(|value| encoded(&value));
        prop_assert_eq!(key(&values), format!("p:{a}:{b}/{c}|{d}#{e}"));
    }

    #[test]
    fn a_key_from_segments_is_the_encoded_segments_joined_with_colons(
        segments in proptest::collection::vec(value(), 1..6)
    ) {
        let expected: Vec<String> = segments.iter().map(|segment| encoded(segment)).collect();
        prop_assert_eq!(Key::from_segments(&segments).to_string(), expected.join(":"));
    }

    #[test]
    fn a_key_that_is_given_stays_as_it_is(text in "\\PC{1,40}") {
        prop_assert_eq!(Key::from(text.as_str()).to_string(), text.as_str());
        prop_assert_eq!(Key::new(text.as_str()).unwrap().to_string(), text);
    }
}

#[tokio::test]
async fn no_two_short_value_lists_of_one_template_make_one_key() {
    let letters = ["a", ":", "%", "3", "A", "{"];
    let mut texts = vec![String::new()];
    for first in letters {
        texts.push(first.to_owned());
        texts.extend(letters.map(|second| format!("{first}{second}")));
    }
    let locks = LockManager::in_memory();
    let mut keys = HashSet::new();
    for a in &texts {
        for b in &texts {
            let key = key_of_two(&locks, a, b).await.unwrap();
            assert!(
                keys.insert(key.clone()),
                "{key} is made by two lists, one of them ({a:?}, {b:?})"
            );
        }
    }
    assert_eq!(keys.len(), texts.len() * texts.len());
}
