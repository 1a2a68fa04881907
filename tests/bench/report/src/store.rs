//! Rows as files, a JSON file each.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::{Row, distributions};

/// Writes `<name>.json` into the folder, and `<name>.svg` where there are samples.
///
/// # Errors
/// When the folder cannot be written, or the drawing cannot be made.
pub fn save(folder: &Path, row: &Row) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let path = folder.join(format!("{}.json", row.name));
    let text = serde_json::to_string_pretty(row).context("a row as JSON")?;
    fs::write(&path, text + "\n").with_context(|| format!("cannot write {}", path.display()))?;
    distributions(&folder.join(format!("{}.svg", row.name)), row)
}

/// All rows of a folder, in the order of the table.
///
/// # Errors
/// When the folder cannot be read, or a file is no row.
pub fn load(folder: &Path) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "json") {
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let row: Row = serde_json::from_str(&text).with_context(|| format!("{} is no row", path.display()))?;
            rows.push(row);
        }
    }
    rows.sort_by(|one, other| (one.line, &one.name).cmp(&(other.line, &other.name)));
    Ok(rows)
}

#[cfg(test)]
mod tests {
    //! What a run has found outlives it.

    use super::{load, save};
    use crate::Row;

    #[test]
    fn what_is_saved_is_loaded_in_the_order_of_the_table() {
        let folder = std::env::temp_dir().join(format!("bench-rows-{}", std::process::id()));
        let mut later = Row::new(2, "a", "what comes later").samples("µs");
        later.variant("raw").sample(&[1.0, 2.0]);
        let earlier = Row::new(1, "b", "what comes first");
        for row in [&later, &earlier] {
            save(&folder, row).unwrap();
        }
        let loaded = load(&folder).unwrap();
        let names: Vec<_> = loaded.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["b", "a"]);
        assert_eq!(loaded[1].variants[0].samples, [1.0, 2.0]);
        assert!(folder.join("a.svg").exists() && !folder.join("b.svg").exists());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
