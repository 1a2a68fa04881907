//! Who holds a lock, for operators.

use std::time::Duration;

use crate::backend::Stored;

/// The present holder of a lock, as the backend has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder(Stored);

impl Holder {
    /// The label that the holder's manager has set; empty when there is none, as with a foreign client.
    #[must_use]
    pub fn owner(&self) -> &str {
        self.parts().1
    }

    /// The holder's random token.
    #[must_use]
    pub fn token(&self) -> &str {
        self.parts().0
    }

    /// How much longer the lock is held unless it is renewed or released; [`Duration::MAX`] when it has no ttl, as
    /// only a foreign client can leave it.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.0.remaining.unwrap_or(Duration::MAX)
    }

    fn parts(&self) -> (&str, &str) {
        self.0.value.split_once(' ').unwrap_or((&self.0.value, ""))
    }
}

impl From<Stored> for Holder {
    fn from(stored: Stored) -> Self {
        Self(stored)
    }
}
