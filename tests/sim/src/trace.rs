//! What happened in a run, as lines, and a hash over all of them: two runs of one seed must have the same.

use std::collections::BTreeMap;
use std::time::Duration;

/// The lines of a run. Random tokens have no place in it: they are numbered as they appear.
pub struct Trace {
    hash: u64,
    lines: u64,
    printed: bool,
    tokens: BTreeMap<Vec<u8>, usize>,
}

impl Trace {
    /// An empty one; `printed`: each line goes to standard output as well.
    #[must_use]
    pub fn new(printed: bool) -> Self {
        Self {
            // FNV-1a: the same on every machine and with every toolchain.
            hash: 0xcbf2_9ce4_8422_2325,
            lines: 0,
            printed,
            tokens: BTreeMap::new(),
        }
    }

    /// Adds what happened at the true time `at`.
    pub fn add(&mut self, at: Duration, what: &str) {
        let line = format!("{:>10.3} {what}", at.as_secs_f64() * 1_000.0);
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self.lines += 1;
        if self.printed {
            println!("{line}");
        }
    }

    /// A short name for a random text, the same one for the same text.
    pub fn token(&mut self, text: &[u8]) -> String {
        let next = self.tokens.len();
        let number = *self.tokens.entry(text.to_vec()).or_insert(next);
        format!("#{number}")
    }

    /// The hash so far, and the number of lines.
    #[must_use]
    pub fn sum(&self) -> (u64, u64) {
        (self.hash, self.lines)
    }
}
