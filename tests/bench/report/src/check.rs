//! How a row is judged.

use serde::{Deserialize, Serialize};

use crate::{Row, statistics};

/// A condition on a figure of one variant.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Check {
    /// What is judged, in a word or two.
    pub text: String,
    /// The variant that is judged.
    pub variant: String,
    /// Its figure.
    pub figure: String,
    /// By itself or against another.
    pub measure: Measure,
    /// What it must reach.
    pub limit: Limit,
}

/// What is compared with the limit.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Measure {
    /// The median over the rounds.
    Value,
    /// The highest of all rounds: for what must never happen.
    Worst,
    /// The median of the ratios of each round, to the same or another figure of this variant.
    Ratio {
        /// The other variant, or the same one.
        base: String,
        /// Its figure.
        figure: String,
    },
}

/// The figure to reach.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Limit {
    /// This or less.
    AtMost(f64),
    /// This or more.
    AtLeast(f64),
}

/// A check and what came out.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// What is judged.
    pub text: String,
    /// `None`: it was not measured.
    pub measured: Option<f64>,
    /// What it must reach.
    pub limit: Limit,
    /// Whether it does.
    pub reached: bool,
}

impl Check {
    /// A figure of a variant by itself: the median over the rounds.
    #[must_use]
    pub fn value(text: &str, variant: &str, figure: &str) -> Check {
        Check::new(text, variant, figure, Measure::Value)
    }

    /// A figure of a variant by itself: the highest of all rounds.
    #[must_use]
    pub fn worst(text: &str, variant: &str, figure: &str) -> Check {
        Check::new(text, variant, figure, Measure::Worst)
    }

    /// A figure of a variant against the same figure of another.
    #[must_use]
    pub fn ratio(text: &str, variant: &str, base: &str, figure: &str) -> Check {
        Check::ratio_of_figures(text, (variant, figure), (base, figure))
    }

    /// A figure of a variant against any figure of any variant.
    #[must_use]
    pub fn ratio_of_figures(text: &str, (variant, figure): (&str, &str), base: (&str, &str)) -> Check {
        let measure = Measure::Ratio {
            base: base.0.to_owned(),
            figure: base.1.to_owned(),
        };
        Check::new(text, variant, figure, measure)
    }

    /// It must be this or less. (A check that is given no limit accepts everything.)
    #[must_use]
    pub fn at_most(mut self, limit: f64) -> Check {
        self.limit = Limit::AtMost(limit);
        self
    }

    /// It must be this or more.
    #[must_use]
    pub fn at_least(mut self, limit: f64) -> Check {
        self.limit = Limit::AtLeast(limit);
        self
    }

    fn new(text: &str, variant: &str, figure: &str, measure: Measure) -> Check {
        Check {
            text: text.to_owned(),
            variant: variant.to_owned(),
            figure: figure.to_owned(),
            measure,
            limit: Limit::AtMost(f64::INFINITY),
        }
    }

    pub(crate) fn judge(&self, row: &Row) -> Verdict {
        let values = row.find(&self.variant).map(|variant| variant.values(&self.figure));
        let values = values.unwrap_or_default();
        let measured = match &self.measure {
            Measure::Value => statistics::median(&values),
            Measure::Worst => values.into_iter().max_by(f64::total_cmp),
            Measure::Ratio { base, figure } => row
                .find(base)
                .and_then(|base| statistics::ratio(&values, &base.values(figure))),
        };
        let within = |measured: f64| match self.limit {
            Limit::AtMost(limit) => measured <= limit,
            Limit::AtLeast(limit) => measured >= limit,
        };
        Verdict {
            text: self.text.clone(),
            measured,
            limit: self.limit,
            reached: measured.is_some_and(within),
        }
    }
}

#[cfg(test)]
mod tests {
    //! Each kind of check.

    use super::Check;
    use crate::Row;

    fn judged(check: Check) -> (Option<f64>, bool) {
        let mut row = Row::new(1, "row", "what").check(check);
        for (base, ours, fair) in [(10.0, 12.0, 8.0), (20.0, 22.0, 11.0), (10.0, 11.0, 11.0)] {
            row.variant("raw").round(&[("p50", base)]);
            row.variant("ours").round(&[("p50", ours), ("fair", fair)]);
        }
        let verdict = &row.verdicts()[0];
        (verdict.measured, verdict.reached)
    }

    #[test]
    fn values_and_ratios_are_judged() {
        assert_eq!(
            judged(Check::value("", "ours", "p50").at_most(12.0)),
            (Some(12.0), true)
        );
        assert_eq!(
            judged(Check::worst("", "ours", "p50").at_most(12.0)),
            (Some(22.0), false)
        );
        assert_eq!(
            judged(Check::ratio("", "ours", "raw", "p50").at_most(1.1)),
            (Some(1.1), true)
        );
        assert_eq!(
            judged(Check::ratio("", "ours", "raw", "p50").at_least(1.2)),
            (Some(1.1), false)
        );
        let own = Check::ratio_of_figures("", ("ours", "p50"), ("ours", "fair"));
        assert_eq!(judged(own.at_most(1.5)), (Some(1.5), true));
    }

    #[test]
    fn what_was_not_measured_is_not_reached() {
        assert_eq!(judged(Check::value("", "ours", "p99")), (None, false));
        assert_eq!(judged(Check::ratio("", "ours", "nobody", "p50")), (None, false));
    }
}
