//! Medians, percentiles, and ratios of neighbours.

/// The middle value, or the mean of the two in the middle; `None` of nothing.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let sorted = sorted(values);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(*sorted.get(middle - 1)?, upper))
}

/// The value that this part (0 to 1) of all values does not exceed, by the nearest rank; `None` of nothing.
#[must_use]
pub fn percentile(values: &[f64], part: f64) -> Option<f64> {
    let sorted = sorted(values);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a rank among values that fit in memory"
    )]
    let rank = (part * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied()
}

/// The mean; `None` of nothing.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "a count of values that fit in memory")]
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The median of the ratios of values of the same round, not the ratio of the medians: what changes from round to round
/// on a shared machine changes both alike.
#[must_use]
pub fn ratio(values: &[f64], base: &[f64]) -> Option<f64> {
    let ratios: Vec<_> = values.iter().zip(base).map(|(value, base)| value / base).collect();
    median(&ratios)
}

/// At most so many of the values, evenly spread over their order: enough to draw.
#[must_use]
pub fn thinned(values: &[f64], most: usize) -> Vec<f64> {
    let sorted = sorted(values);
    if sorted.len() <= most || most < 2 {
        return sorted;
    }
    let last = sorted.len() - 1;
    (0..most).map(|step| sorted[step * last / (most - 1)]).collect()
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    //! By hand.

    use super::{mean, median, percentile, ratio, thinned};

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let values: Vec<_> = (1..=200).map(f64::from).collect();
        assert_eq!(percentile(&values, 0.5), Some(100.0));
        assert_eq!(percentile(&values, 0.99), Some(198.0));
        assert_eq!(percentile(&values, 1.0), Some(200.0));
        assert_eq!(percentile(&[7.0], 0.01), Some(7.0));
        assert_eq!(percentile(&[], 0.5), None);
        assert_eq!(mean(&[1.0, 2.0]), Some(1.5));
    }

    #[test]
    fn a_ratio_is_that_of_neighbours() {
        // The machine was twice as slow in the second round.
        assert_eq!(ratio(&[11.0, 22.0, 11.0], &[10.0, 20.0, 10.0]), Some(1.1));
        // A round that is missing counts for neither.
        assert_eq!(ratio(&[11.0], &[10.0, 20.0]), Some(1.1));
        assert_eq!(ratio(&[], &[10.0]), None);
    }

    #[test]
    fn thinning_keeps_both_ends() {
        let values: Vec<_> = (0..1000).map(f64::from).collect();
        let thin = thinned(&values, 11);
        assert_eq!((thin.len(), thin[0], thin[10]), (11, 0.0, 999.0));
        assert_eq!(thinned(&[2.0, 1.0], 10), [1.0, 2.0]);
    }
}
