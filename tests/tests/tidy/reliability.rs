//! RELIABILITY.md against the tests: every test that it names is there, and every hazard has its row.

use std::collections::BTreeSet;

use crate::{assert_none, files, read};

/// The rows of the table of hazards, by their cells.
fn rows(text: &str) -> Vec<Vec<&str>> {
    let table = text
        .lines()
        .skip_while(|line| !line.starts_with("| | hazard |"))
        .skip(2);
    table
        .take_while(|line| line.starts_with('|'))
        .map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect()
}

/// The names in backquotes that are a module and a function.
fn named(cell: &str) -> Vec<(&str, &str)> {
    let quoted = cell.split('`').skip(1).step_by(2);
    quoted.filter_map(|name| name.split_once("::")).collect()
}

#[test]
fn every_hazard_has_its_row_and_at_least_fifty_name_a_test() {
    let text = read("RELIABILITY.md");
    let rows = rows(&text);
    let numbers: Vec<_> = rows.iter().map(|row| row[0].parse::<usize>().unwrap()).collect();
    assert_eq!(numbers, (1..=59).collect::<Vec<_>>());
    let shown = rows
        .iter()
        .filter(|row| row.get(3).is_some_and(|cell| !named(cell).is_empty()));
    assert!(shown.count() >= 50);
}

#[test]
fn every_test_that_reliability_names_is_there() {
    let tests: BTreeSet<(String, String)> = files("tests", ".rs")
        .into_iter()
        .flat_map(|file| {
            let module = file.path.rsplit('/').next().unwrap().trim_end_matches(".rs").to_owned();
            functions(&file.text)
                .map(move |name| (module.clone(), name))
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(tests.len() > 500, "this test does not find the tests: {}", tests.len());
    let text = read("RELIABILITY.md");
    let missing = text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|name| name.split_once("::"))
        .filter(|(module, name)| !tests.contains(&((*module).to_owned(), (*name).to_owned())));
    assert_none(
        "RELIABILITY.md names a test that is not there",
        missing
            .map(|(module, name)| format!("{module}::{name}"))
            .collect::<Vec<_>>(),
    );
}

/// The names of all functions of a file.
fn functions(text: &str) -> impl Iterator<Item = String> {
    text.lines().filter_map(|line| {
        let rest = line
            .trim_start()
            .trim_start_matches("pub ")
            .trim_start_matches("async ");
        let (name, _) = rest.strip_prefix("fn ")?.split_once(['(', '<'])?;
        Some(name.to_owned())
    })
}
