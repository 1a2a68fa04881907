//! `cargo xtask expand`: what the annotated functions of a file expand to.
//!
//! The compiler prints it, so nothing has to be installed. The file becomes the root of a package
//! of its own under the target directory, with the dependencies of the package that it belongs to.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use crate::shell::Shell;

/// Prints the expansion of a file, or of the fixture of that name.
///
/// # Errors
/// When there is no such file, or the compiler cannot expand it.
pub(crate) fn run(shell: &Shell, file: &str) -> Result<()> {
    let file = locate(shell, file)?;
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;

    let package = shell.target().join("expand");
    fs::create_dir_all(&package).with_context(|| format!("cannot make {}", package.display()))?;
    let write = |name: &str, content: &[u8]| {
        fs::write(package.join(name), content).with_context(|| format!("cannot write {name} in {}", package.display()))
    };
    write(
        "Cargo.toml",
        manifest(&file, &dependencies(shell, &file, &text)?).as_bytes(),
    )?;
    write(
        "Cargo.lock",
        &fs::read(shell.root().join("Cargo.lock")).context("cannot read Cargo.lock")?,
    )?;

    // A target directory of its own: RUSTC_BOOTSTRAP makes several build scripts run again.
    let mut command = shell.cargo(["rustc", "--quiet", "--profile", "check", "--lib", "--manifest-path"]);
    command.arg(package.join("Cargo.toml"));
    command
        .env("CARGO_TARGET_DIR", package.join("target"))
        .env("RUSTC_BOOTSTRAP", "1");
    command.args(["--", "-Zunpretty=expanded"]);
    let expansion = shell.read(&mut command)?;

    write("expanded.rs", expansion.as_bytes())?;
    let expanded = package.join("expanded.rs");
    // Without rustfmt, or where it gives up, the expansion is as the compiler printed it.
    shell.succeeds(shell.command("rustfmt").args(["--edition", "2024"]).arg(&expanded));
    print!(
        "{}",
        fs::read_to_string(&expanded).with_context(|| format!("cannot read {}", expanded.display()))?
    );
    Ok(())
}

/// The file itself, seen from where the user stands or from the root, or a fixture by its name.
fn locate(shell: &Shell, file: &str) -> Result<PathBuf> {
    let here = std::env::current_dir().context("there is no current directory")?;
    for candidate in [here.join(file), shell.root().join(file)] {
        if candidate.is_file() {
            return Ok(candidate);
        }
    }
    let fixtures = shell.root().join("tests/tests/ui");
    let mut found = Vec::new();
    collect_named(&fixtures, &format!("{file}.rs"), &mut found)?;
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => bail!(
            "`{file}` is no file here, and {} has no fixture `{file}.rs`",
            fixtures.display()
        ),
        [first, second, ..] => bail!(
            "`{file}` may be {} or {}: name the path",
            first.display(),
            second.display()
        ),
    }
}

fn collect_named(folder: &Path, name: &str, found: &mut Vec<PathBuf>) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(());
    };
    for entry in entries {
        let path = entry
            .with_context(|| format!("cannot list {}", folder.display()))?
            .path();
        if path.is_dir() {
            collect_named(&path, name, found)?;
        } else if path.file_name().is_some_and(|file| file == name) {
            found.push(path);
        }
    }
    Ok(())
}

/// The dependencies of the file's package, as in a manifest; of those for its tests only the ones
/// that the text names, because the others take their time to compile.
fn dependencies(shell: &Shell, file: &Path, text: &str) -> Result<String> {
    let metadata = shell.read(&mut shell.cargo(["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: Value = serde_json::from_str(&metadata).context("cannot read `cargo metadata`")?;
    let packages = metadata["packages"]
        .as_array()
        .context("`cargo metadata` lists no packages")?;

    let owner = owner(packages, file)?;
    let mut lines = Map::new();
    // A program or a test names the library beside it.
    let itself = owner["name"].as_str().context("a package has no name")?;
    if text.contains(&format!("{}::", itself.replace('-', "_"))) {
        let path = Path::new(owner["manifest_path"].as_str().unwrap_or_default()).parent();
        lines.insert(itself.to_owned(), json!({ "path": path }));
    }
    for dependency in owner["dependencies"].as_array().into_iter().flatten() {
        let package = dependency["name"].as_str().context("a dependency has no name")?;
        let name = dependency["rename"].as_str().unwrap_or(package);
        if dependency["kind"].is_null() || text.contains(&name.replace('-', "_")) {
            lines.insert(name.to_owned(), requirement(package, dependency));
        }
    }
    // JSON's strings, arrays and booleans are TOML's too; only the tables are written differently.
    Ok(lines
        .iter()
        .map(|(name, requirement)| format!("{name} = {}\n", inline_table(requirement)))
        .collect())
}

/// The package in whose folder the file lies, as deep as possible; `lock-tests` for any other file.
fn owner<'a>(packages: &'a [Value], file: &Path) -> Result<&'a Value> {
    let folder = |package: &Value| {
        Path::new(package["manifest_path"].as_str()?)
            .parent()
            .map(Path::to_owned)
    };
    let depth = |package: &&Value| folder(package).map_or(0, |folder| folder.components().count());
    let around = |package: &&Value| folder(package).is_some_and(|folder| file.starts_with(folder));
    let owner = packages.iter().filter(around).max_by_key(depth);
    let tests = || packages.iter().find(|package| package["name"] == "lock-tests");
    owner
        .or_else(tests)
        .context("the workspace has no package `lock-tests`")
}

fn requirement(package: &str, dependency: &Value) -> Value {
    let mut requirement = json!({
        "package": package,
        "version": dependency["req"],
        "features": dependency["features"],
        "default-features": dependency["uses_default_features"],
    });
    if dependency["path"].is_string() {
        requirement["path"] = dependency["path"].clone();
    }
    requirement
}

fn inline_table(table: &Value) -> String {
    let fields = table
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| format!("{name} = {value}"));
    format!("{{ {} }}", fields.collect::<Vec<_>>().join(", "))
}

fn manifest(file: &Path, dependencies: &str) -> String {
    // A library, because a file without `main` has an expansion too.
    format!(
        "[package]\nname = \"expand\"\nversion = \"0.0.0\"\nedition = \"2024\"\npublish = false\n\n\
         [lib]\npath = {}\n\n[workspace]\n\n[dependencies]\n{dependencies}",
        Value::from(file.to_string_lossy())
    )
}
