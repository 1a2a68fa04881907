//! A row: what is measured, by which variants, and what each of them had in each round.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::statistics;
use crate::{Check, Verdict};

/// So many samples of a variant are kept, whatever it hands in: enough to draw.
const SAMPLES: usize = 2000;

/// One thing that is measured, side by side for all variants.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// The line of the table of figures to reach, from 1. Several rows may stand for one line.
    pub line: u32,
    /// Short, for files and `--only`.
    pub name: String,
    /// What is measured, for people.
    pub what: String,
    /// The figure to reach, as the table words it.
    pub target: String,
    /// What the best peer was measured to reach, as the table words it.
    pub peer: String,
    /// The variant against which every other one is shown as a ratio.
    pub base: Option<String>,
    /// The columns; the ratio is that of the first.
    pub figures: Vec<Figure>,
    /// How it is judged.
    pub checks: Vec<Check>,
    /// In the order in which they first ran.
    pub variants: Vec<Variant>,
    /// What the samples are, where there are any, e.g. `µs from call to return`.
    pub samples: String,
    /// What a reader has to know, a sentence each.
    pub notes: Vec<String>,
}

/// A column.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Figure {
    /// Its key in a round.
    pub name: String,
    /// As in the head of the column; empty for a plain number.
    pub unit: String,
}

/// One of those that are compared.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Variant {
    /// Its name in the table.
    pub name: String,
    /// The figures of each round, by name.
    pub rounds: Vec<BTreeMap<String, f64>>,
    /// Single measurements of all rounds, for the drawing.
    pub samples: Vec<f64>,
    /// Why it has no figures, or not all.
    pub failed: Option<String>,
}

impl Row {
    /// A row without figures.
    #[must_use]
    pub fn new(line: u32, name: &str, what: &str) -> Row {
        Row {
            line,
            name: name.to_owned(),
            what: what.to_owned(),
            target: String::new(),
            peer: String::new(),
            base: None,
            figures: Vec::new(),
            checks: Vec::new(),
            variants: Vec::new(),
            samples: String::new(),
            notes: Vec::new(),
        }
    }

    /// The figure to reach, in words.
    #[must_use]
    pub fn target(mut self, text: &str) -> Row {
        text.clone_into(&mut self.target);
        self
    }

    /// What the best peer was measured to reach, in words.
    #[must_use]
    pub fn peer(mut self, text: &str) -> Row {
        text.clone_into(&mut self.peer);
        self
    }

    /// The variant that the others are compared with.
    #[must_use]
    pub fn base(mut self, variant: &str) -> Row {
        self.base = Some(variant.to_owned());
        self
    }

    /// One more column.
    #[must_use]
    pub fn figure(mut self, figure: Figure) -> Row {
        self.figures.push(figure);
        self
    }

    /// More columns, of a name and a unit each.
    #[must_use]
    pub fn figures(mut self, figures: &[(&str, &str)]) -> Row {
        self.figures
            .extend(figures.iter().map(|(name, unit)| Figure::new(name, unit)));
        self
    }

    /// One more condition.
    #[must_use]
    pub fn check(mut self, check: Check) -> Row {
        self.checks.push(check);
        self
    }

    /// What the samples of its variants are.
    #[must_use]
    pub fn samples(mut self, text: &str) -> Row {
        text.clone_into(&mut self.samples);
        self
    }

    /// What a reader has to know.
    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Row {
        self.notes.push(text.into());
        self
    }

    /// The variant of this name; a new one at the end where there is none yet.
    pub fn variant(&mut self, name: &str) -> &mut Variant {
        let index = self.variants.iter().position(|variant| variant.name == name);
        let index = index.unwrap_or_else(|| {
            self.variants.push(Variant {
                name: name.to_owned(),
                rounds: Vec::new(),
                samples: Vec::new(),
                failed: None,
            });
            self.variants.len() - 1
        });
        &mut self.variants[index]
    }

    /// The variant of this name, where there is one.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Variant> {
        self.variants.iter().find(|variant| variant.name == name)
    }

    /// The median of the ratios of each round, of two variants.
    #[must_use]
    pub fn ratio(&self, variant: &str, base: &str, figure: &str) -> Option<f64> {
        let (variant, base) = (self.find(variant)?, self.find(base)?);
        statistics::ratio(&variant.values(figure), &base.values(figure))
    }

    /// How each check turned out.
    #[must_use]
    pub fn verdicts(&self) -> Vec<Verdict> {
        self.checks.iter().map(|check| check.judge(self)).collect()
    }
}

impl Figure {
    /// A column of this name, in this unit.
    #[must_use]
    pub fn new(name: &str, unit: &str) -> Figure {
        Figure {
            name: name.to_owned(),
            unit: unit.to_owned(),
        }
    }
}

impl Variant {
    /// Adds the figures of one round.
    pub fn round(&mut self, figures: &[(&str, f64)]) {
        let figures = figures.iter().map(|(name, value)| ((*name).to_owned(), *value));
        self.rounds.push(figures.collect());
    }

    /// Adds single measurements, for the drawing.
    pub fn sample(&mut self, samples: &[f64]) {
        self.samples.extend_from_slice(samples);
        if self.samples.len() > 2 * SAMPLES {
            self.samples = statistics::thinned(&self.samples, SAMPLES);
        }
    }

    /// It has no figures of this round, and why.
    pub fn fail(&mut self, why: impl Into<String>) {
        self.failed = Some(why.into());
    }

    /// A figure in every round that has it.
    #[must_use]
    pub fn values(&self, figure: &str) -> Vec<f64> {
        self.rounds
            .iter()
            .filter_map(|round| round.get(figure).copied())
            .collect()
    }

    /// The median over the rounds.
    #[must_use]
    pub fn median(&self, figure: &str) -> Option<f64> {
        statistics::median(&self.values(figure))
    }
}
