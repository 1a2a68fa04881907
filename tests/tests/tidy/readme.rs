//! The README against the code: its table of options, its links, its Redis script.

use std::collections::BTreeSet;

use lock_tests::RedisServer;
use redis::Commands;

use crate::{assert_none, files, read, root};

#[test]
fn the_attribute_table_has_every_option_of_the_macro_and_no_other() {
    let readme = read("README.md");
    let rows = readme
        .lines()
        .skip_while(|line| !line.starts_with("| option |"))
        .skip(2);
    let documented = rows
        .take_while(|line| line.starts_with('|'))
        .map(|row| row.split('`').nth(1).unwrap_or(row));
    let documented: BTreeSet<_> = documented.collect();

    let macros = read("lock-macros/src/args.rs");
    let (_, options) = macros
        .split_once("const OPTIONS: ")
        .expect("the macro lists its options");
    let (_, options) = options.split_once('=').unwrap();
    let (options, _) = options.split_once(';').unwrap();
    let known: BTreeSet<_> = options.split('"').skip(1).step_by(2).collect();

    assert!(known.contains("key"), "this test does not find the options: {known:?}");
    assert_eq!(documented, known, "left: the README's table; right: the macro's list");
}

#[test]
fn every_link_to_a_file_leads_to_one() {
    let mut findings = Vec::new();
    for file in files("", ".md") {
        let folder = root().join(&file.path);
        let folder = folder.parent().unwrap();
        for target in file.text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = target.split('#').next().unwrap_or("");
            if !path.is_empty() && !path.contains("://") && !folder.join(path).exists() {
                findings.push(format!("{}: {target}", file.path));
            }
        }
    }
    assert_none("there is no such file", findings);
}

#[test]
fn every_link_within_the_readme_leads_to_a_heading() {
    let readme = read("README.md");
    let anchor = |heading: &str| heading.trim().to_lowercase().replace(' ', "-");
    let headings: BTreeSet<_> = readme
        .lines()
        .filter(|line| line.starts_with("##"))
        .map(|line| anchor(line.trim_start_matches('#')))
        .collect();
    let links = readme.split("](#").skip(1).filter_map(|rest| rest.split(')').next());
    assert_none(
        "there is no such heading",
        links.filter(|link| !headings.contains(*link)).map(str::to_owned),
    );
}

/// The code block around the script is compiled by the documentation tests; here it runs.
#[test]
fn the_redis_script_takes_new_fences_and_refuses_old_ones() {
    let readme = read("README.md");
    let (_, script) = readme.split_once("const SET_ADDRESS: &str = r#\"").unwrap();
    let (script, _) = script.split_once("\"#;").unwrap();

    let server = RedisServer::start();
    let mut connection = redis::Client::open(server.url()).unwrap().get_connection().unwrap();
    let script = redis::Script::new(script);
    let mut write = |fence: u64, address: &str| -> bool {
        script
            .key("data:order:42")
            .arg(fence)
            .arg(address)
            .invoke(&mut connection)
            .unwrap()
    };
    // Of the size that fences have: microseconds since 1970.
    let first = 1_700_000_000_000_001;
    assert!(write(first, "old"));
    assert!(write(first, "old, second write of one hold"));
    assert!(write(first + 1, "new"));
    assert!(!write(first, "too late"));
    let address: String = connection.hget("data:order:42", "address").unwrap();
    assert_eq!(address, "new");
}
