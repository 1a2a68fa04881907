//! Brings what a renewal looks at into the processor's caches.
//!
//! A hundred thousand holds are far from all of them when their time comes, and again when the answer is there, where the
//! thread has changed its processor. Looked at one after the other, with all that is done and written in between, each of
//! them is waited for by itself. Reads with nothing between them are waited for side by side.

use std::hint::black_box;

use crate::hold::Hold;

/// Before many holds are looked at.
pub(crate) fn prefetch<'a>(holds: impl Iterator<Item = &'a Hold>) {
    let read = holds.map(|hold| {
        // From each line of memory that a renewal needs, something.
        let name = hold.claim.name().as_bytes().first().copied().unwrap_or_default();
        hold.deadline().as_nanos() ^ u64::from(hold.terms.ttl.subsec_nanos()) ^ u64::from(name) ^ hold.fence().get()
    });
    black_box(read.fold(0, |all, one| all ^ one));
}
