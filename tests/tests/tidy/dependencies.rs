//! The manifests: a reason for each dependency, and the oldest toolchain that can build them all.

use std::process::Command;

use serde_json::Value;

use crate::{assert_none, read, root};

#[test]
fn every_dependency_has_its_reason_beside_it() {
    let manifest = read("Cargo.toml");
    let (_, dependencies) = manifest.split_once("[workspace.dependencies]\n").unwrap();
    let (dependencies, _) = dependencies.split_once("\n[").unwrap();
    let declared: Vec<_> = dependencies.lines().filter(|line| line.contains(" = ")).collect();
    assert!(
        declared.len() > 10,
        "this test does not find the dependencies: {declared:?}"
    );
    let silent = declared
        .into_iter()
        .filter(|line| line.split_once(" # ").is_none_or(|(_, reason)| reason.is_empty()));
    assert_none("say in the same line what it is for", silent.map(str::to_owned));
}

#[test]
fn members_take_their_dependencies_from_the_workspace() {
    let mut findings = Vec::new();
    for package in metadata()["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|package| is_ours(package))
    {
        let path = package["manifest_path"].as_str().unwrap();
        let manifest = std::fs::read_to_string(path).unwrap();
        let mut in_dependencies = false;
        for line in manifest.lines() {
            if line.starts_with('[') {
                in_dependencies = line.contains("dependencies");
            } else if in_dependencies && line.contains('=') && !declared_once(line) {
                findings.push(format!("{path}: {line}"));
            }
        }
    }
    assert_none("declare it once, in the root Cargo.toml", findings);
}

#[test]
fn no_dependency_needs_a_newer_rust_than_we_promise() {
    let metadata = metadata();
    let ours = ours();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(
        packages.len() > 50,
        "`cargo metadata` lists {} packages only",
        packages.len()
    );
    let newer = packages.iter().filter(|package| needs(package) > ours);
    let word = |package: &Value, name| package[name].as_str().unwrap().to_owned();
    let finding = |package: &Value| {
        ["name", "version", "rust_version"]
            .map(|name| word(package, name))
            .join(" ")
    };
    assert_none(
        "needs a newer Rust than the root Cargo.toml promises (name, version, Rust)",
        newer.map(finding),
    );
}

#[test]
fn the_rust_that_we_promise_is_the_one_that_the_redis_crate_needs() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let redis = packages
        .iter()
        .find(|package| package["name"] == "redis")
        .expect("redis is a dependency");
    assert_eq!(ours(), needs(redis));
}

#[test]
fn every_member_promises_the_same_rust() {
    let metadata = metadata();
    let members = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|package| is_ours(package));
    let others = members.filter(|package| needs(package) != ours());
    assert_none(
        "write `rust-version.workspace = true`",
        others.map(|package| package["name"].to_string()),
    );
}

#[test]
fn without_the_feature_queue_nothing_of_it_is_needed() {
    const QUEUE: [&str; 4] = ["inventory", "serde", "serde_core", "serde_json"];
    let needed = |features: &str| -> Vec<&str> {
        let arguments = ["tree", "--locked", "--package", "lock-runtime", "--edges", "normal"];
        let output = Command::new(cargo())
            .args(arguments)
            .args(["--prefix", "none", "--no-default-features", "--features", features])
            .current_dir(root())
            .output()
            .unwrap();
        let tree = String::from_utf8(output.stdout).unwrap();
        let named = |name: &&str| tree.lines().any(|line| line.starts_with(&format!("{name} v")));
        assert!(named(&"redis"), "{}", String::from_utf8_lossy(&output.stderr));
        QUEUE.into_iter().filter(named).collect()
    };
    assert_eq!(needed("macros,tls,queue"), QUEUE);
    assert_eq!(needed("macros,tls"), [""; 0]);
}

/// From the root; or a bare path, without a version that could differ: under another name, or where only
/// that keeps a dependency of the tests out of the package.
fn declared_once(line: &str) -> bool {
    line.contains("workspace = true") || line.contains(" path = ") && !line.contains("version")
}

/// What `cargo metadata` says of the workspace and of what this platform needs of the lock file.
fn metadata() -> Value {
    let arguments = [
        "metadata",
        "--format-version",
        "1",
        "--locked",
        "--filter-platform",
        &host(),
    ];
    let output = Command::new(cargo())
        .args(arguments)
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Set by the cargo that runs the tests; the compiler of the same toolchain knows the platform.
fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

fn host() -> String {
    let output = Command::new("rustc").arg("-vV").current_dir(root()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .expect("rustc names its host")
        .to_owned()
}

fn is_ours(package: &Value) -> bool {
    package["source"].is_null()
}

/// `[workspace.package] rust-version`.
fn ours() -> (u64, u64) {
    let manifest = read("Cargo.toml");
    let version = manifest
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = \""))
        .unwrap();
    version_of(version.trim_end_matches('"'))
}

/// The oldest Rust that a package declares; anything will do where it declares none.
fn needs(package: &Value) -> (u64, u64) {
    package["rust_version"].as_str().map_or((0, 0), version_of)
}

fn version_of(text: &str) -> (u64, u64) {
    let mut numbers = text.split('.').map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap_or(0))
}
