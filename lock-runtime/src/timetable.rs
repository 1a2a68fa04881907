//! What is to happen at which moment, where most of it is taken back long before.
//!
//! What is put in is only sorted at the next look at what is due. Whatever is gone by then, as most holds are, has cost
//! a place in a vector and no more.

use std::collections::BTreeSet;

use crate::clock::Moment;

/// Entries by their moments. An entry keeps its place until it is removed; then the place is another one's.
pub(crate) struct Timetable<T> {
    slots: Vec<Slot<T>>,
    /// Places without an entry.
    free: Vec<usize>,
    /// Places that were filled since the last look, each once.
    fresh: Vec<usize>,
    order: BTreeSet<(Moment, usize)>,
}

struct Slot<T> {
    entry: Option<T>,
    /// `NEVER`: it waits for no moment.
    at: Moment,
    /// It is in `fresh`.
    fresh: bool,
    /// It is in `order`.
    sorted: bool,
}

/// More places than this are given back when all are free.
const KEPT: usize = 1_024;

impl<T> Default for Timetable<T> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            fresh: Vec::new(),
            order: BTreeSet::new(),
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
            fresh: true,
            sorted: false,
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
        if std::mem::replace(&mut slot.sorted, at != Moment::NEVER) {
            self.order.remove(&(before, place));
        }
        if slot.sorted {
            self.order.insert((at, place));
        }
    }

    pub(crate) fn remove(&mut self, place: usize) -> Option<T> {
        let slot = self.slots.get_mut(place)?;
        let entry = slot.entry.take()?;
        if std::mem::take(&mut slot.sorted) {
            self.order.remove(&(slot.at, place));
        }
        self.free.push(place);
        if self.free.len() == self.slots.len() && self.slots.len() > KEPT {
            *self = Self::default();
        }
        Some(entry)
    }

    /// The place of an entry whose moment has come; it then waits for none until [`set`](Self::set).
    pub(crate) fn take_due(&mut self, now: Moment) -> Option<usize> {
        let place = self.sort().first().filter(|(at, _)| *at <= now)?.1;
        self.set(place, Moment::NEVER);
        Some(place)
    }

    /// The next moment of all.
    pub(crate) fn first(&mut self) -> Moment {
        self.sort().first().map_or(Moment::NEVER, |(at, _)| *at)
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().filter_map(|slot| slot.entry.as_ref())
    }

    fn sort(&mut self) -> &BTreeSet<(Moment, usize)> {
        for place in self.fresh.drain(..) {
            let Some(slot) = self.slots.get_mut(place) else {
                continue;
            };
            slot.fresh = false;
            slot.sorted = slot.entry.is_some() && slot.at != Moment::NEVER;
            if slot.sorted {
                self.order.insert((slot.at, place));
            }
        }
        &self.order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Moment {
        Moment::from_nanos(nanos)
    }

    #[test]
    fn what_is_due_comes_in_its_order_and_once() {
        let mut table = Timetable::default();
        let places: Vec<_> = [30, 10, 20].map(|nanos| table.insert(at(nanos), nanos)).into();
        assert_eq!(table.first(), at(10));
        assert_eq!(table.take_due(at(9)), None);
        assert_eq!(table.take_due(at(25)), Some(places[1]));
        assert_eq!(table.take_due(at(25)), Some(places[2]));
        assert_eq!(table.take_due(at(25)), None);
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
        assert_eq!((table.first(), table.order.len()), (at(15), 1));
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
        assert_eq!((table.slots.len(), table.fresh.len(), table.order.len()), (1, 1, 0));
    }

    #[test]
    fn room_for_many_is_given_back() {
        let mut table = Timetable::default();
        let places: Vec<_> = (0..5_000).map(|nanos| table.insert(at(nanos), ())).collect();
        table.first();
        for place in places {
            table.remove(place);
        }
        assert_eq!((table.slots.capacity(), table.order.len()), (0, 0));
        let place = table.insert(at(7), ());
        assert_eq!(table.take_due(at(7)), Some(place));
    }
}
