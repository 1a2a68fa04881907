//! Every source file, looked at by itself.

use crate::{File, assert_none, files};

/// Programs for the compiler to judge: some are wrong on purpose, and a `//!` would move the lines
/// that their expected output names.
const FIXTURES: &str = "tests/tests/ui";

const LONGEST: usize = 400;

#[test]
fn every_file_starts_with_a_line_that_says_what_it_is_about() {
    let silent = files("", ".rs")
        .into_iter()
        .filter(|file| !file.is_under(FIXTURES) && !file.text.starts_with("//! "));
    assert_none("starts with no `//!`", silent.map(|file| file.path));
}

#[test]
fn no_file_is_longer_than_400_lines() {
    let length = |file: &File| file.text.lines().count();
    let long = files("", ".rs").into_iter().filter(|file| length(file) > LONGEST);
    assert_none(
        "split this by concept",
        long.map(|file| format!("{}: {} lines", file.path, length(&file))),
    );
}

#[test]
fn nothing_is_left_undone_ignored_or_expected_to_panic() {
    // In pieces, so that this file is not its own finding.
    let undone = ["to", "do!("].concat();
    let words = [
        ["FIX", "ME"].concat(),
        ["#[ig", "nore"].concat(),
        ["#[should_", "panic"].concat(),
    ];
    let mut findings = Vec::new();
    for file in files("", ".rs") {
        // There a body that is not written yet is a case: it has to compile under the attribute.
        let a_case = file.is_under("tests/tests/shapes") || file.is_under(FIXTURES);
        let undone = (!a_case).then_some(&undone);
        for (number, line) in file.text.lines().enumerate() {
            if let Some(word) = words.iter().chain(undone).find(|word| line.contains(word.as_str())) {
                findings.push(format!("{}:{}: {word}", file.path, number + 1));
            }
        }
    }
    assert_none("finish it, or assert what it does today", findings);
}

#[test]
fn every_text_ends_with_one_line_feed_and_no_line_with_a_space() {
    let texts = [".rs", ".toml", ".md", ".sh"]
        .into_iter()
        .flat_map(|ending| files("", ending));
    let untidy = texts.filter(|file| {
        let no_end = !file.text.ends_with('\n') || file.text.ends_with("\n\n");
        !file.is_under(FIXTURES) && (no_end || file.text.lines().any(|line| line.ends_with([' ', '\t', '\r'])))
    });
    assert_none("stray white space", untidy.map(|file| file.path));
}
