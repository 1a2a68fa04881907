//! Templates: read by the attribute, filled by the runtime. What is read is what was written, and two different lists of
//! values never make one key.
#![no_main]
#![allow(dead_code, reason = "the module has more than is called here")]

use libfuzzer_sys::fuzz_target;
use lock_runtime::__private::Template;
use lock_runtime::Key;

use template::{Access, Part, Placeholder};

#[path = "../../../lock-macros/src/template.rs"]
mod template;

/// What separates one value from the next.
const SEPARATORS: [char; 4] = [':', '/', '|', '#'];
/// Between the template and the values in the input, and between two values.
const NEXT: char = '\u{1e}';

fuzz_target!(|text: &str| {
    let mut pieces = text.split(NEXT);
    let written = pieces.next().unwrap_or_default();
    let parts = match template::parse(written) {
        Ok(parts) => parts,
        Err(problems) => {
            assert!(!problems.is_empty(), "refused, and nothing says why");
            return;
        }
    };
    assert_eq!(rewritten(&parts), written, "read differently from what is written");
    let count = parts.iter().filter(|part| matches!(part, Part::Placeholder(_))).count();
    let mut values = || -> Vec<&str> { (0..count).map(|_| pieces.next().unwrap_or_default()).collect() };
    let (one, other) = (values(), values());
    let (key, other_key) = (filled(&parts, &one), filled(&parts, &other));
    assert_eq!(
        one == other,
        key == other_key,
        "{one:?} and {other:?}: {key}, {other_key}"
    );
    assert_eq!(values_of(key.as_str(), &parts), one, "{key}");
});

/// As it was written.
fn rewritten(parts: &[Part]) -> String {
    let part = |part: &Part| match part {
        Part::Literal(text) => text.replace('<', "<<").replace('>', ">>"),
        Part::Placeholder(placeholder) => {
            assert_eq!(steps(placeholder), plain(&placeholder.text));
            format!("<{}>", placeholder.text)
        }
    };
    parts.iter().map(part).collect()
}

/// What was understood of a placeholder, written down again.
fn steps(placeholder: &Placeholder) -> String {
    let mut text = placeholder.root.clone();
    for access in &placeholder.accesses {
        match access {
            Access::Field(name) => text += &format!(".{name}"),
            Access::Index(index) => text += &format!(".{index}"),
            Access::Method(name) => text += &format!(".{name}()"),
        }
    }
    text
}

fn plain(text: &str) -> String {
    let steps = text.split('.').map(|step| step.strip_prefix("r#").unwrap_or(step));
    steps.collect::<Vec<_>>().join(".")
}

/// As the expansion does it.
fn filled(parts: &[Part], values: &[&str]) -> Key {
    let mut values = values.iter();
    let mut key = Template::new();
    for part in parts {
        match part {
            Part::Literal(text) => key.text(text),
            Part::Placeholder(_) => key.part("", *values.next().expect("a value for each placeholder")),
        }
    }
    key.key()
}

/// The way back: a value ends where the first separator of the text after it stands.
fn values_of(key: &str, parts: &[Part]) -> Vec<String> {
    let mut rest = key;
    let mut values = Vec::new();
    let mut parts = parts.iter().peekable();
    while let Some(part) = parts.next() {
        match (part, parts.peek()) {
            (Part::Literal(text), _) => rest = rest.strip_prefix(text.as_str()).expect("the text as it is written"),
            (Part::Placeholder(_), None) => {
                values.push(decoded(rest));
                rest = "";
            }
            (Part::Placeholder(_), Some(Part::Literal(text))) => {
                // Without one, it is the end of the template.
                let end = match text.find(SEPARATORS) {
                    Some(before) => rest.find(SEPARATORS).expect("values have no separators") - before,
                    None => rest.len() - text.len(),
                };
                values.push(decoded(&rest[..end]));
                rest = &rest[end..];
            }
            (Part::Placeholder(_), Some(Part::Placeholder(_))) => panic!("two placeholders without a separator"),
        }
    }
    assert_eq!(rest, "");
    values
}

fn decoded(value: &str) -> String {
    let bytes = percent_encoding::percent_decode_str(value);
    bytes.decode_utf8().expect("what was encoded was text").into_owned()
}
