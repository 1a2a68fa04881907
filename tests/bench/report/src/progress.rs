//! A line for each step, so that whoever waits knows what for.

use std::time::Instant;

/// Counts the time since the start.
#[derive(Debug)]
pub struct Progress {
    start: Instant,
}

impl Progress {
    /// Begins to count.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "the time begins when it is made")]
    pub fn new() -> Progress {
        Progress { start: Instant::now() }
    }

    /// Prints one line: which row, which round (from 1), which variant, and what came out.
    pub fn step(&self, row: &str, round: (usize, usize), variant: &str, outcome: &str) {
        let seconds = self.start.elapsed().as_secs();
        let (round, of) = round;
        println!("[{seconds:>4} s] {row:<22} {round:>2}/{of:<2}  {variant:<44} {outcome}");
    }

    /// Prints one line that belongs to no round.
    pub fn say(&self, text: &str) {
        println!("[{:>4} s] {text}", self.start.elapsed().as_secs());
    }
}
