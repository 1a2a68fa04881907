//! The distributions of a row's samples, as SVG.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use crate::Row;

const SIZE: (u32, u32) = (960, 540);

/// One line for each variant: which part of its samples (upwards) is not above which value (to the right, logarithmic).
/// Without samples there is nothing to draw, and no file.
///
/// # Errors
/// When the file cannot be written.
pub fn distributions(path: &Path, row: &Row) -> Result<()> {
    let samples = row.variants.iter().flat_map(|variant| &variant.samples);
    let positive = samples.copied().filter(|value| *value > 0.0);
    let (low, high) = positive.fold((f64::INFINITY, 0.0_f64), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    if high <= 0.0 {
        return Ok(());
    }
    let title = format!("{}: {}", row.name, row.samples);
    draw(path, row, &title, low..(high * 1.05).max(low * 1.1))
        .map_err(|error| anyhow!("cannot draw {}: {error}", path.display()))
}

fn draw(path: &Path, row: &Row, title: &str, range: std::ops::Range<f64>) -> Result<(), Box<dyn std::error::Error>> {
    let low = range.start;
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(44)
        .build_cartesian_2d(range.log_scale(), 0.0..100.0)?;
    chart
        .configure_mesh()
        .x_desc(&row.samples)
        .y_desc("% not above")
        .y_max_light_lines(1)
        .draw()?;
    let drawn = row.variants.iter().filter(|variant| !variant.samples.is_empty());
    for (index, variant) in drawn.enumerate() {
        let color = Palette99::pick(index).to_rgba();
        chart
            .draw_series(LineSeries::new(steps(&variant.samples, low), color.stroke_width(2)))?
            .label(&variant.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], color.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK)
        .draw()?;
    area.present()?;
    Ok(())
}

/// The share of the samples that are not above each of them, in percent.
#[allow(clippy::cast_precision_loss, reason = "a count of values that fit in memory")]
fn steps(samples: &[f64], low: f64) -> Vec<(f64, f64)> {
    let mut sorted: Vec<_> = samples.iter().map(|value| value.max(low)).collect();
    sorted.sort_by(f64::total_cmp);
    let count = sorted.len() as f64;
    let part = |(index, value)| (value, 100.0 * (index + 1) as f64 / count);
    sorted.into_iter().enumerate().map(part).collect()
}

#[cfg(test)]
mod tests {
    //! A drawing has a line for each variant; no samples, no drawing.

    use super::distributions;
    use crate::Row;

    #[test]
    fn every_variant_has_its_line() {
        let folder = std::env::temp_dir().join(format!("bench-report-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("drawing.svg");
        let mut row = Row::new(1, "row", "what").samples("µs");
        distributions(&path, &row).unwrap();
        assert!(!path.exists());
        row.variant("raw").sample(&[1.0, 2.0, 4.0]);
        row.variant("ours").sample(&[2.0, 3.0, 400.0]);
        distributions(&path, &row).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("<svg") && text.contains("raw") && text.contains("ours"));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
