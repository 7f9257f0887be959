//! Where the item of a hash is: a table of slots whose place in memory can be fetched before it is looked at.

use crate::near::fetch;

/// A table entry: 32 bits of the hash spare most looks at the wrong item.
#[derive(Clone, Copy, Debug)]
struct Indexed {
    hash: u32,
    slot: u32,
}

/// There is no such slot.
const NONE: u32 = u32::MAX;

const VACANT: Indexed = Indexed { hash: 0, slot: NONE };

/// Places of the smallest table.
const SMALLEST: usize = 16;

/// Slots by hash: open addressing with linear probing (Knuth, The Art of Computer Programming 3, 6.4), at most half full,
/// so that nearly every search stays in one cache line. Hashes have to depend on a secret.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// None, or a power of two of them.
    entries: Vec<Indexed>,
    used: usize,
}

impl Index {
    /// What one slot costs in a full table, in bytes: twice that in one that has just grown.
    pub(crate) const ENTRY_SIZE: usize = 2 * size_of::<Indexed>();

    /// How many slots are in it.
    #[inline]
    pub(crate) const fn len(&self) -> usize {
        self.used
    }

    /// Whether none is.
    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// All slots in it.
    pub(crate) fn slots(&self) -> impl Iterator<Item = u32> {
        self.entries.iter().map(|entry| entry.slot).filter(|&slot| slot != NONE)
    }

    /// Fetches what a search for that hash looks at.
    #[inline(always)]
    pub(crate) fn fetch(&self, hash: u64) {
        self.entries.get(self.home(hash as u32)).into_iter().for_each(fetch);
    }

    /// The slot of that hash for which `is_it` holds.
    #[inline(always)]
    pub(crate) fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        self.search(hash, is_it).map(|(_, slot)| slot)
    }

    /// The place of a slot, and the slot.
    #[inline(always)]
    fn search(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<(usize, u32)> {
        let bits = hash as u32;
        let mut place = self.home(bits);
        loop {
            let entry = self.entries.get(place).filter(|entry| entry.slot != NONE)?;
            if entry.hash == bits && is_it(entry.slot) {
                return Some((place, entry.slot));
            }
            place = self.after(place);
        }
    }

    /// Adds a slot that is not in it.
    #[inline]
    pub(crate) fn insert(&mut self, hash: u64, slot: u32) {
        if (self.used + 1) * 2 > self.entries.len() {
            self.grow();
        }
        self.used += 1;
        self.put(Indexed { hash: hash as u32, slot });
    }

    /// Takes a slot out; false when it is not there. What was put behind it for want of room moves up.
    pub(crate) fn remove(&mut self, hash: u64, slot: u32) -> bool {
        let Some((mut hole, _)) = self.search(hash, |it| it == slot) else { return false };
        self.used -= 1;
        let mut place = hole;
        loop {
            place = self.after(place);
            let next = self.entries.get(place).copied().unwrap_or(VACANT);
            if next.slot == NONE {
                break;
            }
            // It may move up if the hole is not in front of where it belongs.
            if self.distance(self.home(next.hash), place) >= self.distance(hole, place) {
                self.set(hole, next);
                hole = place;
            }
        }
        self.set(hole, VACANT);
        true
    }

    /// Where a hash belongs.
    #[inline(always)]
    const fn home(&self, hash: u32) -> usize {
        hash as usize & self.entries.len().wrapping_sub(1)
    }

    #[inline(always)]
    const fn after(&self, place: usize) -> usize {
        (place + 1) & self.entries.len().wrapping_sub(1)
    }

    /// How far it is from one place to another that is not before it.
    const fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & self.entries.len().wrapping_sub(1)
    }

    fn set(&mut self, place: usize, entry: Indexed) {
        self.entries.get_mut(place).into_iter().for_each(|it| *it = entry);
    }

    /// Puts an entry into the first vacant place from its own on: there is one.
    #[inline]
    fn put(&mut self, entry: Indexed) {
        let mut place = self.home(entry.hash);
        while self.entries.get(place).is_some_and(|it| it.slot != NONE) {
            place = self.after(place);
        }
        self.set(place, entry);
    }

    #[cold]
    fn grow(&mut self) {
        let places = (self.entries.len() * 2).max(SMALLEST);
        let before = std::mem::replace(&mut self.entries, vec![VACANT; places]);
        before.into_iter().filter(|entry| entry.slot != NONE).for_each(|entry| self.put(entry));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Few hashes, some at the end of the table, so that entries are in each other's way: what is found is what a map
        /// knows.
        #[test]
        fn finds_what_was_put(steps in prop::collection::vec((any::<bool>(), 0u32..40), 0..200)) {
            let hash = |slot: u32| [3, 3 | 1 << 40, 15, 31, 4, 63][slot as usize % 6];
            let mut index = Index::default();
            let mut known = BTreeMap::new();
            for (adds, slot) in steps {
                if !adds {
                    let was_there = known.remove(&slot).is_some();
                    prop_assert_eq!(index.remove(hash(slot), slot), was_there);
                } else if known.insert(slot, hash(slot)).is_none() {
                    index.insert(hash(slot), slot);
                }
                prop_assert_eq!(index.len(), known.len());
                prop_assert_eq!(index.is_empty(), known.is_empty());
                for slot in 0..40 {
                    let found = index.find(hash(slot), |it| it == slot);
                    prop_assert_eq!(found, known.contains_key(&slot).then_some(slot));
                }
            }
            let mut slots: Vec<u32> = index.slots().collect();
            slots.sort_unstable();
            prop_assert!(slots.into_iter().eq(known.into_keys()));
        }
    }

    #[test]
    fn an_empty_one_has_nothing() {
        let mut index = Index::default();
        assert_eq!(index.find(7, |_| true), None);
        index.fetch(7);
        assert!(!index.remove(7, 7) && index.is_empty());
    }
}
