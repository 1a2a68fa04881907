//! What must never name what.

use crate::{File, assert_none, files, read};

/// All of the crate that a backend may know: what it is asked (of a key, the full name), the clock, and how to say that a URL
/// is wrong. No policy, no hold, no body.
const OPEN_TO_BACKENDS: [&str; 9] = [
    "backend",
    "clock",
    "network",
    "pauses",
    "url",
    "Fence",
    "Key",
    "LockError",
    "Tls",
];

#[test]
fn the_macro_crate_names_neither_redis_nor_tokio() {
    let mut findings = Vec::new();
    // Its own tests and the documentation's examples may run on anything.
    for file in files("lock-macros/src", ".rs")
        .into_iter()
        .filter(|file| !file.is_under("lock-macros/src/tests"))
    {
        let named = |line: &str| ["redis", "tokio"].iter().any(|name| line.to_lowercase().contains(name));
        findings.extend(
            file.code()
                .filter(|(_, line)| named(line))
                .map(|(number, line)| at(&file, number, line)),
        );
    }
    let manifest = read("lock-macros/Cargo.toml");
    findings.extend(
        dependency_names(&manifest)
            .filter(|name| ["redis", "tokio"].contains(name))
            .map(str::to_owned),
    );
    assert_none(
        "what the attribute emits is a call into lock_runtime, and nothing else",
        findings,
    );
}

#[test]
fn a_backend_names_no_policy() {
    let mut findings = Vec::new();
    for file in files("lock-runtime/src/backend", ".rs") {
        for (number, line) in file.code() {
            let foreign = crate_names(line)
                .into_iter()
                .any(|name| !OPEN_TO_BACKENDS.contains(&name));
            if foreign {
                findings.push(at(&file, number, line));
            }
        }
    }
    assert_none("a backend knows nothing of who asks it", findings);
}

#[test]
fn only_the_redis_backend_names_the_redis_crate() {
    let mut findings = Vec::new();
    for file in files("lock-runtime/src", ".rs") {
        if !file.is_under("lock-runtime/src/backend/redis") {
            findings.extend(
                file.code()
                    .filter(|(_, line)| names_redis(line))
                    .map(|(number, line)| at(&file, number, line)),
            );
        }
    }
    assert_none("no type of the redis crate leaves backend/redis", findings);
}

fn at(file: &File, number: usize, line: &str) -> String {
    format!("{}:{number}: {}", file.path, line.trim())
}

/// `redis::` as the start of a path: no `:` (our module of that name) and no letter before it.
fn names_redis(line: &str) -> bool {
    line.match_indices("redis::").any(|(start, _)| {
        !line[..start].ends_with(|c: char| c == ':' || c == '_' || c.is_alphanumeric())
            || line[..start].ends_with(" ::")
    })
}

/// What follows each `crate::` in a line: the first segment of the path, or of each path in a group.
fn crate_names(line: &str) -> Vec<&str> {
    let rest = line
        .match_indices("crate::")
        .map(|(start, found)| &line[start + found.len()..]);
    rest.flat_map(|rest| match rest.strip_prefix('{') {
        Some(group) => group
            .split(&['}', ';'][..])
            .next()
            .unwrap_or("")
            .split(", ")
            .map(first_segment)
            .collect(),
        None => vec![first_segment(rest)],
    })
    .collect()
}

fn first_segment(path: &str) -> &str {
    path.split(|c: char| c != '_' && !c.is_alphanumeric())
        .next()
        .unwrap_or("")
}

/// The names in the section of a manifest that a user builds.
fn dependency_names(manifest: &str) -> impl Iterator<Item = &str> {
    let mut in_dependencies = false;
    manifest.lines().filter_map(move |line| {
        if line.starts_with('[') {
            in_dependencies = line == "[dependencies]";
            return None;
        }
        let name = line.split(['.', ' ', '=']).next().unwrap_or("");
        (in_dependencies && !name.is_empty() && !name.starts_with('#')).then_some(name)
    })
}

#[test]
fn these_tests_see_what_they_look_for() {
    assert!(names_redis("use redis::Client;"));
    assert!(names_redis("fn f(_: &redis::RedisError)"));
    assert!(names_redis("let x = ::redis::cmd();"));
    assert!(!names_redis("use crate::backend::redis::Server;"));
    assert_eq!(crate_names("use crate::{Fence, clock::Clock};"), ["Fence", "clock"]);
    assert_eq!(crate_names("pub(crate) fn f() -> crate::call::Ended {"), ["call"]);
    assert_eq!(
        dependency_names("[dependencies]\nredis.workspace = true\n# no\n[lints]\na = 1").collect::<Vec<_>>(),
        ["redis"]
    );
}
