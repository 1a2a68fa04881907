//! A row as a table in Markdown, which people can read as it is.

use std::fmt::Write as _;

use crate::{Row, Variant};

/// A line for each variant: the median of each figure, and the ratio of the first figure to the base.
#[must_use]
pub fn table(row: &Row) -> String {
    let mut head = vec!["variant".to_owned()];
    head.extend(row.figures.iter().map(|figure| match figure.unit.as_str() {
        "" => figure.name.clone(),
        unit => format!("{} ({unit})", figure.name),
    }));
    if let (Some(base), Some(first)) = (&row.base, row.figures.first()) {
        head.push(format!("× {base} ({})", first.name));
    }
    let mut lines = vec![head];
    lines.extend(row.variants.iter().map(|variant| cells(row, variant)));

    let mut text = format!("### {}: {}\n\n", row.name, row.what);
    text.push_str(&aligned(&lines));
    for variant in &row.variants {
        if let Some(why) = &variant.failed {
            let _ = writeln!(text, "\n{}: {why}", variant.name);
        }
    }
    for note in &row.notes {
        let _ = writeln!(text, "\n{note}");
    }
    text
}

fn cells(row: &Row, variant: &Variant) -> Vec<String> {
    let mut cells = vec![variant.name.clone()];
    cells.extend(row.figures.iter().map(|figure| number(variant.median(&figure.name))));
    if let (Some(base), Some(first)) = (&row.base, row.figures.first()) {
        cells.push(number(row.ratio(&variant.name, base, &first.name)));
    }
    cells
}

/// Three significant digits, and no fraction from a hundred on; a dash where there is nothing.
pub(crate) fn number(value: Option<f64>) -> String {
    let Some(value) = value else {
        return "–".to_owned();
    };
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 || size == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

/// A table whose first line is its head: texts to the left, columns of numbers to the right.
pub(crate) fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0).max(3)
    };
    let widths: Vec<_> = (0..columns).map(width).collect();
    let numeric = |column: usize| {
        let mut cells = lines.iter().skip(1).filter_map(|line| line.get(column));
        cells.all(|cell| cell == "–" || cell.parse::<f64>().is_ok())
    };
    let numeric: Vec<_> = (0..columns).map(numeric).collect();
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        for (column, width) in widths.iter().enumerate() {
            let cell = line.get(column).map_or("", String::as_str);
            let _ = match numeric[column] {
                false => write!(text, "| {cell:<width$} "),
                true => write!(text, "| {cell:>width$} "),
            };
        }
        text.push_str("|\n");
        if index == 0 {
            for (column, width) in widths.iter().enumerate() {
                let _ = match numeric[column] {
                    false => write!(text, "| {} ", "-".repeat(*width)),
                    true => write!(text, "| {}: ", "-".repeat(width - 1)),
                };
            }
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    //! As it is printed.

    use super::{number, table};
    use crate::Row;

    #[test]
    fn a_row_is_a_table() {
        let mut row = Row::new(1, "alone", "one task")
            .base("raw")
            .figures(&[("p50", "µs"), ("commands", "")]);
        row.variant("raw").round(&[("p50", 16.1), ("commands", 2.0)]);
        row.variant("ours").round(&[("p50", 161.0), ("commands", 2.0)]);
        row.variant("peer").fail("did not start");
        let expected = "### alone: one task\n\n\
            | variant | p50 (µs) | commands | × raw (p50) |\n\
            | ------- | -------: | -------: | ----------: |\n\
            | raw     |     16.1 |     2.00 |        1.00 |\n\
            | ours    |      161 |     2.00 |        10.0 |\n\
            | peer    |        – |        – |           – |\n\
            \npeer: did not start\n";
        assert_eq!(table(&row), expected);
    }

    #[test]
    fn numbers_have_three_digits() {
        let shown = [1234.5, 99.96, 12.34, 1.234, 0.1234, 0.01234, 0.0].map(|value| number(Some(value)));
        assert_eq!(shown, ["1234", "100.0", "12.3", "1.23", "0.12", "0.0123", "0.00"]);
    }
}
