//! Everything that was measured, printed and written as Markdown.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use bench_report::{load, machine, summary, table};

pub(crate) fn print(folder: &Path) -> Result<()> {
    let rows = load(folder)?;
    ensure!(
        !rows.is_empty(),
        "nothing was measured: no row has a name that begins like that"
    );
    let mut text = format!("{}\n{}\n", machine(), summary(&rows));
    for row in &rows {
        text.push_str(&table(row));
        text.push('\n');
    }
    print!("{text}");
    let path = folder.join("table.md");
    fs::write(&path, text.trim_end().to_owned() + "\n").with_context(|| format!("cannot write {}", path.display()))?;
    println!("This is {}; the distributions are beside it.", path.display());
    Ok(())
}
