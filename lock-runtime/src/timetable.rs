//! What is to happen at which moment, where most of it is taken back long before.
//!
//! What is put in is only sorted at the next look at what is due. Whatever is gone by then, as most holds are, has cost
//! a place in a vector and no more.

use crate::buckets::Buckets;
use crate::clock::Moment;

/// Entries by their moments. An entry keeps its place until it is removed; then the place is another one's.
pub(crate) struct Timetable<T> {
    slots: Vec<Slot<T>>,
    /// Places without an entry.
    free: Vec<usize>,
    /// Places that were filled since the last look, each once.
    fresh: Vec<usize>,
    buckets: Buckets,
}

struct Slot<T> {
    entry: Option<T>,
    /// `NEVER`: it waits for no moment.
    at: Moment,
    /// Where in its bucket it is; [`UNSORTED`]: it is in none.
    index: u32,
    /// It is in `fresh`.
    fresh: bool,
}

/// Not in a bucket.
const UNSORTED: u32 = u32::MAX;
/// More places than this are given back when all are free.
const KEPT: usize = 1_024;

impl<T> Default for Timetable<T> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            fresh: Vec::new(),
            buckets: Buckets::default(),
        }
    }
}

impl<T> Timetable<T> {
    /// The place of the new entry.
    pub(crate) fn insert(&mut self, at: Moment, entry: T) -> usize {
        if let Some(place) = self.free.pop()
            && let Some(slot) = self.slots.get_mut(place)
        {
            (slot.entry, slot.at) = (Some(entry), at);
            if !std::mem::replace(&mut slot.fresh, true) {
                self.fresh.push(place);
            }
            return place;
        }
        let place = self.slots.len();
        self.slots.push(Slot {
            entry: Some(entry),
            at,
            index: UNSORTED,
            fresh: true,
        });
        self.fresh.push(place);
        place
    }

    pub(crate) fn get(&self, place: usize) -> Option<&T> {
        self.slots.get(place)?.entry.as_ref()
    }

    pub(crate) fn get_mut(&mut self, place: usize) -> Option<&mut T> {
        self.slots.get_mut(place)?.entry.as_mut()
    }

    /// Moves an entry to another moment.
    pub(crate) fn set(&mut self, place: usize, at: Moment) {
        let Some(slot) = self.slots.get_mut(place).filter(|slot| slot.entry.is_some()) else {
            return;
        };
        let before = std::mem::replace(&mut slot.at, at);
        if slot.fresh || before == at {
            return;
        }
        self.unsort(place, before);
        self.sort_in(place);
    }

    pub(crate) fn remove(&mut self, place: usize) -> Option<T> {
        let slot = self.slots.get_mut(place)?;
        let entry = slot.entry.take()?;
        let at = slot.at;
        self.unsort(place, at);
        self.free.push(place);
        if self.free.len() == self.slots.len() && self.slots.len() > KEPT {
            *self = Self::default();
        }
        Some(entry)
    }

    /// The places of the entries whose moment has come, about in the order of their moments; they then wait for none until
    /// [`set`](Self::set).
    pub(crate) fn take_due(&mut self, now: Moment) -> Vec<usize> {
        self.sort();
        let due = self.buckets.take_due(now, |place, index| {
            if let Some(slot) = self.slots.get_mut(place) {
                slot.index = index;
            }
        });
        for &place in &due {
            if let Some(slot) = self.slots.get_mut(place) {
                (slot.at, slot.index) = (Moment::NEVER, UNSORTED);
            }
        }
        due
    }

    /// The next moment of all.
    pub(crate) fn first(&mut self) -> Moment {
        self.sort();
        self.buckets.first()
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().filter_map(|slot| slot.entry.as_ref())
    }

    fn sort(&mut self) {
        let mut fresh = std::mem::take(&mut self.fresh);
        for place in fresh.drain(..) {
            if let Some(slot) = self.slots.get_mut(place) {
                slot.fresh = false;
                self.sort_in(place);
            }
        }
        // Its room is used again.
        self.fresh = fresh;
    }

    /// Into the bucket of its moment, if it waits for one.
    fn sort_in(&mut self, place: usize) {
        if let Some(slot) = self.slots.get_mut(place)
            && slot.entry.is_some()
            && slot.at != Moment::NEVER
        {
            slot.index = self.buckets.insert(slot.at, place);
        }
    }

    /// Out of the bucket of the moment `at`, if it is in it.
    fn unsort(&mut self, place: usize, at: Moment) {
        let Some(slot) = self.slots.get_mut(place) else {
            return;
        };
        let index = std::mem::replace(&mut slot.index, UNSORTED);
        if index != UNSORTED
            && let Some(moved) = self.buckets.remove(at, index)
            && let Some(slot) = self.slots.get_mut(moved)
        {
            slot.index = index;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Moment {
        Moment::from_nanos(nanos)
    }

    #[test]
    fn what_is_due_comes_once() {
        let mut table = Timetable::default();
        let places: Vec<_> = [30, 10, 20].map(|nanos| table.insert(at(nanos), nanos)).into();
        assert_eq!(table.first(), at(10));
        assert!(table.take_due(at(9)).is_empty());
        let mut due = table.take_due(at(25));
        due.sort_unstable();
        assert_eq!(due, places[1..]);
        assert!(table.take_due(at(25)).is_empty());
        assert_eq!(table.entries().count(), 3);
        table.set(places[1], at(5));
        assert_eq!(table.first(), at(5));
        table.set(places[1], Moment::NEVER);
        assert_eq!(table.first(), at(30));
    }

    #[test]
    fn an_entry_moves_before_and_after_it_is_sorted() {
        let mut table = Timetable::default();
        let place = table.insert(at(10), "a");
        table.set(place, at(20));
        assert_eq!(table.first(), at(20));
        table.set(place, at(15));
        table.set(place, at(15));
        assert_eq!((table.first(), table.buckets.len()), (at(15), 1));
    }

    #[test]
    fn a_place_is_used_again_and_its_old_moment_is_gone() {
        let mut table = Timetable::default();
        for sorted in [false, true] {
            let place = table.insert(at(10), "a");
            if sorted {
                table.first();
            }
            assert_eq!(table.remove(place), Some("a"));
            assert_eq!(table.remove(place), None);
            table.set(place, at(1));
            assert_eq!(table.insert(Moment::NEVER, "b"), place);
            assert_eq!((table.first(), table.get(place)), (Moment::NEVER, Some(&"b")));
            table.remove(place);
        }
        assert_eq!((table.slots.len(), table.fresh.len()), (1, 0));
    }

    #[test]
    fn entries_that_go_before_a_look_cost_no_room() {
        let mut table = Timetable::default();
        for nanos in 0..10_000 {
            let place = table.insert(at(nanos), ());
            table.remove(place);
        }
        assert_eq!((table.slots.len(), table.fresh.len(), table.buckets.len()), (1, 1, 0));
    }

    #[test]
    fn room_for_many_is_given_back() {
        let mut table = Timetable::default();
        let places: Vec<_> = (0..5_000).map(|nanos| table.insert(at(nanos), ())).collect();
        table.first();
        for place in places {
            table.remove(place);
        }
        assert_eq!((table.slots.capacity(), table.buckets.len()), (0, 0));
        let place = table.insert(at(7), ());
        assert_eq!(table.take_due(at(7)), [place]);
    }

    #[test]
    fn of_many_that_come_and_go_and_move_none_is_forgotten_and_none_is_early() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut table = Timetable::default();
        let mut expected = std::collections::BTreeMap::new();
        let mut now = 0;
        for _ in 0..20_000 {
            let moment = now + random.u64(0..1 << 28);
            let one = expected.keys().nth(random.usize(0..=expected.len())).copied();
            match (random.u8(0..8), one) {
                (0..=2, _) => drop(expected.insert(table.insert(at(moment), ()), moment)),
                (3..=4, Some(place)) => {
                    table.set(place, at(moment));
                    expected.insert(place, moment);
                }
                (5, Some(place)) => {
                    assert_eq!(table.remove(place), Some(()));
                    expected.remove(&place);
                }
                (6, _) => {
                    now += random.u64(0..1 << 25);
                    let mut due = table.take_due(at(now));
                    due.sort_unstable();
                    let is_due = |moment: &u64| *moment <= now;
                    let right: Vec<_> = expected
                        .iter()
                        .filter(|(_, at)| is_due(at))
                        .map(|(place, _)| *place)
                        .collect();
                    assert_eq!(due, right);
                    for place in due {
                        table.remove(place);
                    }
                    expected.retain(|_, moment| !is_due(moment));
                }
                _ => {}
            }
            if random.u8(0..8) == 0 {
                let first = expected.values().min();
                assert_eq!(table.first(), first.map_or(Moment::NEVER, |moment| at(*moment)));
            }
        }
    }
}
