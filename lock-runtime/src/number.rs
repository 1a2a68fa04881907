//! Numbers that nothing else in this process has.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

/// Unique in the process: never reused, so that what is late cannot hit the next hold of the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct HoldId(u64);

/// A number that nothing else in this process has.
pub(crate) fn unique() -> u64 {
    /// So many at a time are a thread's, so that not every call changes what all threads share.
    const BLOCK: u64 = 1_024;
    static NEXT: AtomicU64 = AtomicU64::new(1);
    thread_local! {
        /// The next one, and where the block ends.
        static MINE: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
    }
    let (mut next, mut end) = MINE.get();
    if next == end {
        next = NEXT.fetch_add(BLOCK, Ordering::Relaxed);
        end = next + BLOCK;
    }
    MINE.set((next + 1, end));
    next
}

impl HoldId {
    pub(crate) fn next() -> Self {
        Self(unique())
    }

    pub(crate) fn number(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::thread;

    use super::*;

    #[test]
    fn no_two_threads_get_the_same_number() {
        let some = || (0..5_000).map(|_| unique()).collect::<Vec<_>>();
        let mut threads: Vec<_> = (0..4).map(|_| thread::spawn(some)).collect();
        let all: HashSet<u64> = threads.drain(..).flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(all.len(), 20_000);
    }
}
