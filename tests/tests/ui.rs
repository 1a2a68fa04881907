//! What the compiler says: every misuse of the attribute is an error at its place (`ui/err`). What is no
//! misuse (`ui/ok`) is compiled, and run, as a part of the test `shapes`. `TRYBUILD=overwrite cargo test -p lock-tests --test ui` accepts new
//! messages.

#![allow(clippy::expect_used, reason = "a test may")]

use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn misuse_is_refused() {
    // One project for all: every fixture shares its dependencies. No `pass` among them: with one, trybuild builds
    // all dependencies once more, and one fixture after the other. What must pass is compiled into `shapes`.
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/err/*/*.rs");
}

/// A message that nobody asked for is as bad as a missing one: a fixture has one error, or says how many.
#[test]
fn every_misuse_has_exactly_its_errors() {
    let mut wrong = Vec::new();
    let fixtures = fixtures();
    assert!(fixtures.len() > 80, "the fixtures are not where they were");
    for fixture in fixtures {
        let source = fs::read_to_string(&fixture).expect("a fixture is readable");
        let expected = source
            .lines()
            .find_map(|line| line.strip_prefix("//! errors: "))
            .map_or(1, |number| number.parse().expect("`errors:` is followed by a number"));
        let Ok(messages) = fs::read_to_string(fixture.with_extension("stderr")) else {
            wrong.push(format!("{} has no .stderr", fixture.display()));
            continue;
        };
        let found = messages.lines().filter(|line| line.starts_with("error")).count();
        if found != expected {
            wrong.push(format!(
                "{} has {found} errors instead of {expected}",
                fixture.display()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_pinned_message_belongs_to_a_fixture() {
    for category in fs::read_dir(directory()).expect("the fixtures are there") {
        let category = category.expect("a category is readable").path();
        for file in fs::read_dir(category).expect("a category is a folder") {
            let file = file.expect("a fixture is readable").path();
            assert!(
                file.with_extension("rs").exists(),
                "{} has lost its fixture",
                file.display()
            );
        }
    }
}

fn fixtures() -> Vec<PathBuf> {
    let mut fixtures = Vec::new();
    for category in fs::read_dir(directory()).expect("the fixtures are there") {
        let category = category.expect("a category is readable").path();
        for file in fs::read_dir(category).expect("a category is a folder") {
            let file = file.expect("a fixture is readable").path();
            if file.extension().is_some_and(|extension| extension == "rs") {
                fixtures.push(file);
            }
        }
    }
    fixtures
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ui/err")
}
