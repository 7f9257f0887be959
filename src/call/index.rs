//! Where the item of a hash is: a table of slots.

use hashbrown::HashTable;

/// A table entry: 32 bits of the hash spare most looks at the wrong item.
#[derive(Clone, Copy, Debug)]
struct Indexed {
    hash: u32,
    slot: u32,
}

impl Indexed {
    /// Spreads the hash bits over the 64 that the table looks at.
    #[inline]
    const fn spread(hash: u32) -> u64 {
        (hash as u64) << 32 | hash as u64
    }
}

/// Slots by hash.
#[derive(Debug, Default)]
pub(super) struct Index(HashTable<Indexed>);

impl Index {
    /// How many slots are in it.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The slot of that hash for which `is_it` holds.
    #[inline]
    pub(super) fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let bits = hash as u32;
        let is_it = |indexed: &Indexed| indexed.hash == bits && is_it(indexed.slot);
        self.0.find(Indexed::spread(bits), is_it).map(|indexed| indexed.slot)
    }

    /// Adds a slot that is not in it.
    #[inline]
    pub(super) fn insert(&mut self, hash: u64, slot: u32) {
        let hash = hash as u32;
        let rehash = |indexed: &Indexed| Indexed::spread(indexed.hash);
        self.0.insert_unique(Indexed::spread(hash), Indexed { hash, slot }, rehash);
    }

    /// Takes a slot out.
    #[inline]
    pub(super) fn remove(&mut self, hash: u64, slot: u32) {
        if let Ok(entry) = self.0.find_entry(Indexed::spread(hash as u32), |indexed| indexed.slot == slot) {
            entry.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_of_one_hash_are_told_apart() {
        let mut index = Index::default();
        for slot in 0..100 {
            index.insert(u64::from(slot % 3), slot);
        }
        assert_eq!(index.len(), 100);
        assert_eq!(index.find(1, |slot| slot == 97), Some(97));
        assert_eq!(index.find(2, |slot| slot == 97), None, "of another hash");
        index.remove(1, 97);
        assert_eq!(index.find(1, |slot| slot == 97), None);
        (0..100).for_each(|slot| index.remove(u64::from(slot % 3), slot));
        assert!(index.is_empty());
    }
}
