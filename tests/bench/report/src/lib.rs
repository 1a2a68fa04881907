//! What a benchmark found, and how it is shown: rows of variants, medians over rounds, ratios within a round.
//!
//! ```
//! use bench_report::{Check, Figure, Row, Variant};
//!
//! let mut row = Row::new(11, "in-process", "an uncontended call against the best keyed mutex")
//!     .target("at most 1.5")
//!     .figure(Figure::new("ns", "ns"))
//!     .base("keyed-lock")
//!     .check(Check::ratio("uncontended", "ours", "keyed-lock", "ns").at_most(1.5));
//! for round in 0..3 {
//!     // Every variant once in each round: a ratio is that of two neighbours.
//!     row.variant("keyed-lock").round(&[("ns", 200.0 + f64::from(round))]);
//!     row.variant("ours").round(&[("ns", 250.0 + f64::from(round))]);
//! }
//! let verdict = &row.verdicts()[0];
//! assert!(verdict.reached && (verdict.measured.unwrap() - 1.25).abs() < 0.01);
//! ```

mod check;
mod draw;
mod machine;
mod progress;
mod row;
pub mod statistics;
mod store;
mod summary;
mod table;

pub use check::{Check, Limit, Measure, Verdict};
pub use draw::distributions;
pub use machine::machine;
pub use progress::Progress;
pub use row::{Figure, Row, Variant};
pub use store::{load, save};
pub use summary::summary;
pub use table::table;
