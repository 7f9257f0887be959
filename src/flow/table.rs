//! The table that flows live in: found by hash, expired by age, capped.

use super::index::Index;
use crate::flow::FlowKey;
use crate::time::Timestamp;
use std::time::Duration;

/// Names an entry of a [`Table`] until it is removed; afterwards another entry may get the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryId(u32);

/// The lists that entries age in. Both are in order of last use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// In use.
    Live,
    /// Over; kept for a while so that stragglers find it.
    Closing,
}

/// Last use is kept to this much: an entry in constant use moves to the end of its list once a second, not once
/// a packet.
const GRAIN: Duration = Duration::from_secs(1);

/// No entry.
const NONE: u32 = u32::MAX;

/// Entries in a slab, each in one of two lists by age. A flow is known by what [`PairHasher::hash_either_way`] has for its
/// ends: 64 bits that depend on a secret of this process, so that nobody outside can make two flows share one.
///
/// [`PairHasher::hash_either_way`]: crate::flow::PairHasher::hash_either_way
#[derive(Debug)]
pub struct Table<V> {
    index: Index,
    slots: Vec<Slot<V>>,
    free: u32,
    lists: [List; 2],
    capacity: usize,
}

#[derive(Debug)]
struct Slot<V> {
    key: FlowKey,
    hash: u64,
    /// When it was last moved to the end of its list.
    moved: Timestamp,
    previous: u32,
    /// The next younger entry; in a free slot the next free one.
    next: u32,
    age: Age,
    value: Option<V>,
}

#[derive(Clone, Copy, Debug)]
struct List {
    oldest: u32,
    youngest: u32,
}

impl<V> Table<V> {
    /// A table of at most `capacity` entries. Memory is taken as entries come.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let lists = [List { oldest: NONE, youngest: NONE }; 2];
        let capacity = capacity.min(NONE as usize);
        Self { index: Index::default(), slots: Vec::new(), free: NONE, lists, capacity }
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Whether an entry has to go before another can come.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.index.len() >= self.capacity
    }

    /// The entry of a flow.
    #[must_use]
    #[inline]
    pub fn find(&self, hash: u64) -> Option<EntryId> {
        let slots = &self.slots;
        let is_it = |slot| slots.get(slot as usize).is_some_and(|slot: &Slot<V>| slot.hash == hash);
        self.index.find(hash, is_it).map(EntryId)
    }

    /// Whether that is the entry of a flow.
    #[must_use]
    #[inline]
    pub fn has(&self, id: EntryId, hash: u64) -> bool {
        self.slots.get(id.0 as usize).is_some_and(|slot| slot.hash == hash && slot.value.is_some())
    }

    /// Fetches what [`Self::likely`] looks at.
    #[inline]
    pub fn fetch(&self, hash: u64) {
        self.index.fetch(hash);
    }

    /// Where the entry of that hash probably is: nothing but the index is looked at.
    #[inline]
    pub fn likely(&self, hash: u64) -> Option<EntryId> {
        self.index.find(hash, |_| true).map(EntryId)
    }

    /// Adds an entry for a flow that has none, as the youngest live one. None when the table is full.
    pub fn insert(&mut self, hash: u64, key: FlowKey, value: V, now: Timestamp) -> Option<EntryId> {
        if self.is_full() {
            return None;
        }
        let (previous, next) = (NONE, NONE);
        let slot = Slot { key, hash, moved: now, previous, next, age: Age::Live, value: Some(value) };
        let at = self.place(slot)?;
        self.link(at, Age::Live, now);
        self.index.insert(hash, at);
        Some(EntryId(at))
    }

    fn place(&mut self, slot: Slot<V>) -> Option<u32> {
        let at = self.free;
        if let Some(vacant) = self.slots.get_mut(at as usize) {
            self.free = vacant.next;
            *vacant = slot;
            return Some(at);
        }
        let at = u32::try_from(self.slots.len()).ok().filter(|&at| at != NONE)?;
        self.slots.push(slot);
        Some(at)
    }

    /// An entry's value.
    #[must_use]
    pub fn get(&self, id: EntryId) -> Option<&V> {
        self.slots.get(id.0 as usize)?.value.as_ref()
    }

    /// An entry's key and value.
    #[inline]
    pub fn get_mut(&mut self, id: EntryId) -> Option<(&FlowKey, &mut V)> {
        let slot = self.slots.get_mut(id.0 as usize)?;
        Some((&slot.key, slot.value.as_mut()?))
    }

    /// An entry's key and value, with a note that it is in use.
    #[inline]
    pub fn touch(&mut self, id: EntryId, now: Timestamp) -> Option<(&FlowKey, &mut V)> {
        let slot = self.slots.get(id.0 as usize)?;
        if now.since(slot.moved) >= GRAIN {
            self.renew(id, now);
        }
        self.get_mut(id)
    }

    /// Moves an entry to the young end of its own list.
    pub fn renew(&mut self, id: EntryId, now: Timestamp) {
        if let Some(age) = self.slots.get(id.0 as usize).map(|slot| slot.age) {
            self.move_to(id, age, now);
        }
    }

    /// Moves an entry to the young end of a list.
    pub fn move_to(&mut self, id: EntryId, age: Age, now: Timestamp) {
        if self.slots.get(id.0 as usize).is_some_and(|slot| slot.value.is_some()) {
            self.unlink(id.0);
            self.link(id.0, age, now);
        }
    }

    /// The entry of a list that has not been used for the longest time, and when (to a `GRAIN`) that was.
    #[must_use]
    pub fn oldest(&self, age: Age) -> Option<(EntryId, Timestamp)> {
        let at = self.lists.get(age as usize)?.oldest;
        self.slots.get(at as usize).map(|slot| (EntryId(at), slot.moved))
    }

    /// The oldest entry of a list, if it has certainly not been used for `limit`.
    #[must_use]
    pub fn expired(&self, age: Age, limit: Duration, now: Timestamp) -> Option<EntryId> {
        let (id, moved) = self.oldest(age)?;
        (now.since(moved) >= limit.saturating_add(GRAIN)).then_some(id)
    }

    /// When an entry was last used, to a `GRAIN`.
    #[must_use]
    pub fn used(&self, id: EntryId) -> Option<Timestamp> {
        self.slots.get(id.0 as usize).map(|slot| slot.moved)
    }

    /// What one entry costs, in bytes.
    #[must_use]
    pub const fn entry_size() -> usize {
        size_of::<Slot<V>>() + Index::ENTRY_SIZE
    }

    /// Takes an entry out.
    pub fn remove(&mut self, id: EntryId) -> Option<(FlowKey, V)> {
        let slot = self.slots.get_mut(id.0 as usize)?;
        let value = slot.value.take()?;
        let (key, hash) = (slot.key, slot.hash);
        self.unlink(id.0);
        self.index.remove(hash, id.0);
        if let Some(slot) = self.slots.get_mut(id.0 as usize) {
            slot.next = self.free;
            self.free = id.0;
        }
        Some((key, value))
    }

    /// All entries, in no particular order.
    pub fn into_entries(self) -> impl Iterator<Item = (FlowKey, V)> {
        self.slots.into_iter().filter_map(|slot| Some((slot.key, slot.value?)))
    }

    /// The names of all entries, and what these hold, in no particular order.
    pub fn ids(&self) -> impl Iterator<Item = (EntryId, &V)> {
        (0..).zip(&self.slots).filter_map(|(at, slot)| Some((EntryId(at), slot.value.as_ref()?)))
    }

    fn unlink(&mut self, at: u32) {
        let Some(slot) = self.slots.get(at as usize) else { return };
        let (previous, next, age) = (slot.previous, slot.next, slot.age);
        match self.slots.get_mut(previous as usize) {
            Some(slot) => slot.next = next,
            None => self.list(age, |list| list.oldest = next),
        }
        match self.slots.get_mut(next as usize) {
            Some(slot) => slot.previous = previous,
            None => self.list(age, |list| list.youngest = previous),
        }
    }

    fn link(&mut self, at: u32, age: Age, now: Timestamp) {
        let youngest = self.lists.get(age as usize).map_or(NONE, |list| list.youngest);
        if let Some(slot) = self.slots.get_mut(at as usize) {
            (slot.previous, slot.next, slot.age, slot.moved) = (youngest, NONE, age, now);
        }
        match self.slots.get_mut(youngest as usize) {
            Some(slot) => slot.next = at,
            None => self.list(age, |list| list.oldest = at),
        }
        self.list(age, |list| list.youngest = at);
    }

    fn list(&mut self, age: Age, change: impl FnOnce(&mut List)) {
        if let Some(list) = self.lists.get_mut(age as usize) {
            change(list);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Address, Direction, Endpoint, PairHasher};
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn key(number: u16) -> FlowKey {
        let server = Endpoint::new(Address::v4([192, 0, 2, 1]), 5060);
        FlowKey::new(Endpoint::new(Address::v4([198, 51, 100, 1]), number), server).0
    }

    fn hash(number: u16) -> u64 {
        let (low, high) = key(number).ends(Direction::Up);
        PairHasher::default().hash_either_way(low, high)
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::new(seconds, 0)
    }

    #[test]
    fn is_capped() {
        let mut table = Table::new(2);
        let first = table.insert(hash(1), key(1), 'a', at(0)).unwrap();
        table.insert(hash(2), key(2), 'b', at(0)).unwrap();
        assert!(table.insert(hash(3), key(3), 'c', at(0)).is_none());
        assert!(table.has(first, hash(1)) && !table.has(first, hash(2)));
        assert_eq!(table.remove(first), Some((key(1), 'a')));
        assert!(!table.has(first, hash(1)), "its place is empty");
        let third = table.insert(hash(3), key(3), 'c', at(0)).unwrap();
        assert!(table.has(third, hash(3)) && !table.has(first, hash(1)));
        assert_eq!(table.len(), 2);
    }

    #[test]
    fn expires_what_was_not_used() {
        let mut table = Table::new(10);
        let first = table.insert(hash(1), key(1), 'a', at(0)).unwrap();
        let second = table.insert(hash(2), key(2), 'b', at(1)).unwrap();
        table.touch(first, at(5));
        assert_eq!(table.expired(Age::Live, Duration::from_secs(10), at(11)), None);
        assert_eq!(table.expired(Age::Live, Duration::from_secs(10), at(12)), Some(second));
        table.move_to(second, Age::Closing, at(12));
        assert_eq!(table.oldest(Age::Closing), Some((second, at(12))));
        assert_eq!(table.oldest(Age::Live), Some((first, at(5))));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u16),
        Remove(u16),
        Touch(u16),
        Close(u16),
    }

    fn step() -> impl Strategy<Value = Step> {
        let key = 0u16..12;
        prop_oneof![
            key.clone().prop_map(Step::Insert),
            key.clone().prop_map(Step::Remove),
            key.clone().prop_map(Step::Touch),
            key.prop_map(Step::Close),
        ]
    }

    proptest! {
        /// Against a map and two plain lists.
        #[test]
        fn does_what_a_map_and_two_lists_do(steps in prop::collection::vec(step(), 0..200)) {
            let mut table = Table::new(8);
            let mut map: HashMap<u16, u64> = HashMap::new();
            let mut lists: [Vec<u16>; 2] = Default::default();
            for (now, step) in (0u64..).zip(steps) {
                let (Step::Insert(n) | Step::Remove(n) | Step::Touch(n) | Step::Close(n)) = step;
                let id = table.find(hash(n));
                prop_assert_eq!(id.is_some(), map.contains_key(&n));
                let list = usize::from(lists[1].contains(&n));
                match (step, id) {
                    (Step::Insert(_), None) => {
                        let fits = table.insert(hash(n), key(n), now, at(now)).is_some();
                        prop_assert_eq!(fits, map.len() < 8);
                        if fits {
                            map.insert(n, now);
                            lists[0].push(n);
                        }
                    }
                    (Step::Remove(_), Some(id)) => {
                        prop_assert_eq!(table.remove(id), map.remove(&n).map(|value| (key(n), value)));
                        lists[list].retain(|&other| other != n);
                    }
                    (Step::Touch(_), Some(id)) => {
                        prop_assert_eq!(table.touch(id, at(now)).map(|(_, value)| *value), map.get(&n).copied());
                        lists[list].retain(|&other| other != n);
                        lists[list].push(n);
                    }
                    (Step::Close(_), Some(id)) => {
                        table.move_to(id, Age::Closing, at(now));
                        lists[list].retain(|&other| other != n);
                        lists[1].push(n);
                    }
                    _ => {}
                }
                for (age, list) in [Age::Live, Age::Closing].into_iter().zip(&lists) {
                    let oldest = table.oldest(age).map(|(id, _)| *table.get_mut(id).unwrap().0);
                    prop_assert_eq!(oldest, list.first().map(|&n| key(n)));
                }
                prop_assert_eq!(table.ids().count(), map.len());
            }
        }
    }
}
