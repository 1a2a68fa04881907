//! Places by their moments, in buckets: what comes within the same few milliseconds lies together, in no order.
//!
//! With a hundred thousand leases, each of which moves several times a minute, an order of all would be looked for in
//! memory that is in no cache. There are so few buckets that they are at hand, and a bucket is read from one end to the
//! other.

use std::collections::BTreeMap;

use crate::clock::Moment;

/// The moments and places of each bucket. There is no empty one.
#[derive(Default)]
pub(crate) struct Buckets(BTreeMap<u64, Vec<(Moment, usize)>>);

/// The bucket of a moment: 17 ms.
fn bucket(at: Moment) -> u64 {
    at.as_nanos() >> 24
}

impl Buckets {
    /// The index of the new place in the bucket of `at`.
    pub(crate) fn insert(&mut self, at: Moment, place: usize) -> u32 {
        let bucket = self.0.entry(bucket(at)).or_default();
        bucket.push((at, place));
        u32::try_from(bucket.len() - 1).unwrap_or(u32::MAX)
    }

    /// Takes out what has this index in the bucket of `at`. Which place has the index from now on, if another one does.
    pub(crate) fn remove(&mut self, at: Moment, index: u32) -> Option<usize> {
        let index = usize::try_from(index).ok()?;
        let entries = self.0.get_mut(&bucket(at))?;
        if index < entries.len() {
            entries.swap_remove(index);
        }
        let moved = entries.get(index).map(|(_, place)| *place);
        if entries.is_empty() {
            self.0.remove(&bucket(at));
        }
        moved
    }

    /// Takes out the places whose moment has come. `moved` is told what has another index from now on.
    pub(crate) fn take_due(&mut self, now: Moment, mut moved: impl FnMut(usize, u32)) -> Vec<usize> {
        let mut due = Vec::new();
        while let Some(mut first) = self.0.first_entry() {
            if *first.key() > bucket(now) {
                break;
            }
            if *first.key() < bucket(now) {
                due.extend(first.remove().into_iter().map(|(_, place)| place));
                continue;
            }
            let entries = first.get_mut();
            let mut index = 0;
            entries.retain(|(at, place)| {
                if *at <= now {
                    due.push(*place);
                    return false;
                }
                moved(*place, index);
                index += 1;
                true
            });
            if entries.is_empty() {
                first.remove();
            }
            break;
        }
        due
    }

    /// The first moment of all.
    pub(crate) fn first(&self) -> Moment {
        let first = self.0.first_key_value().map(|(_, entries)| entries);
        let moments = first.into_iter().flatten().map(|(at, _)| *at);
        moments.min().unwrap_or(Moment::NEVER)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }
}
