//! What the library does not promise to bear.

use std::time::Duration;

/// When data was lost, and whether clocks are wrong beyond measure.
#[derive(Debug)]
pub struct Allowance {
    servers: usize,
    beyond: bool,
    /// When which server forgot everything.
    losses: Vec<(Duration, usize)>,
}

impl Allowance {
    pub(super) fn new(servers: usize, beyond: bool) -> Self {
        Self {
            servers,
            beyond,
            losses: Vec::new(),
        }
    }

    /// Whether clocks are wrong beyond measure.
    #[must_use]
    pub fn is_beyond(&self) -> bool {
        self.beyond
    }

    /// A server forgot everything.
    pub fn lost(&mut self, server: usize, at: Duration) {
        self.losses.push((at, server));
    }

    /// Whether two may have held one lock, of which the first was asked for at `from`.
    ///
    /// One server that forgets its locks gives them out again. Of several, a minority may forget: those who remember
    /// are needed for every majority, and who forgot does not vote for a while.
    #[must_use]
    pub fn covers(&self, from: Duration, to: Duration) -> bool {
        self.beyond || (self.servers == 1 && self.losses.iter().any(|(at, _)| (from..=to).contains(at)))
    }

    /// How many servers may have forgotten a lease that was asked for at `from`.
    #[must_use]
    pub fn forgot(&self, from: Duration) -> usize {
        let mut servers: Vec<_> = self
            .losses
            .iter()
            .filter(|(at, _)| *at >= from)
            .map(|(_, server)| *server)
            .collect();
        servers.sort_unstable();
        servers.dedup();
        servers.len()
    }
}
