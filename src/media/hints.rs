//! Where flows probably are: a lookup reads one cache line.
//!
//! The table of flows says where a flow is, and reads two cache lines that depend on each other for it. With many
//! thousands of flows that is most of what a packet costs. What is found here may be wrong, or missing.

/// Bits of an entry that are its flow's slot, counted from 1.
const SLOT_BITS: u32 = 20;
const SLOT: u32 = (1 << SLOT_BITS) - 1;

/// Entries in a set: as many as are compared at once.
const WAYS: usize = 4;

/// Flows per set at most, on average: one in 250 finds no room then.
const USUAL: usize = WAYS / 4;

/// Entries whose hashes begin alike. An entry is the upper bits of a hash, and a slot; 0 is no entry.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(16))]
struct Set([u32; WAYS]);

/// Slots by the hashes of their flows.
#[derive(Debug)]
pub(super) struct Hints {
    sets: Vec<Set>,
}

impl Default for Hints {
    fn default() -> Self {
        Self { sets: vec![Set::default()] }
    }
}

impl Hints {
    /// The slot that a flow with this hash probably has; none known is a slot that does not exist.
    #[inline]
    pub(super) fn find(&self, hash: u64) -> u32 {
        let Some(Set(entries)) = self.sets.get(self.index(hash)) else { return u32::MAX };
        let tag = tag(hash);
        // Of two that match, which is seldom, neither is found.
        let is_it = |entry: u32| if (entry ^ tag) & !SLOT == 0 { entry & SLOT } else { 0 };
        entries.iter().fold(0, |found, &entry| found | is_it(entry)).wrapping_sub(1)
    }

    /// Whether so many flows need a larger table.
    pub(super) const fn are_few(&self, flows: usize) -> bool {
        flows > self.sets.len() * USUAL
    }

    /// Makes an empty table of twice the size.
    pub(super) fn grow(&mut self) {
        self.sets = vec![Set::default(); self.sets.len() * 2];
    }

    /// Learns where a flow is, unless there is no room.
    pub(super) fn insert(&mut self, hash: u64, slot: u32) {
        if slot < SLOT {
            self.replace(hash, 0, tag(hash) | (slot + 1));
        }
    }

    /// Forgets it.
    pub(super) fn remove(&mut self, hash: u64, slot: u32) {
        if slot < SLOT {
            self.replace(hash, tag(hash) | (slot + 1), 0);
        }
    }

    fn replace(&mut self, hash: u64, old: u32, new: u32) {
        let index = self.index(hash);
        let entries = self.sets.get_mut(index).into_iter().flat_map(|Set(entries)| entries);
        entries.filter(|entry| **entry == old).take(1).for_each(|entry| *entry = new);
    }

    #[inline]
    const fn index(&self, hash: u64) -> usize {
        hash as usize & (self.sets.len() - 1)
    }
}

/// The bits of a hash that an entry has, where it has them.
#[inline]
const fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32 & !SLOT
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that are spread well (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
    fn hash(number: u32) -> u64 {
        let mut bits = u64::from(number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ bits >> 31
    }

    #[test]
    fn nearly_all_are_found_and_none_where_it_is_not() {
        let mut hints = Hints::default();
        assert_eq!(hints.find(0), u32::MAX, "an empty table");
        let mut known = 0;
        for slot in 0..50_000 {
            known += 1;
            if hints.are_few(known) {
                hints.grow();
                (0..slot).for_each(|slot| hints.insert(hash(slot), slot));
            }
            hints.insert(hash(slot), slot);
        }
        let found = (0..50_000).filter(|&slot| hints.find(hash(slot)) == slot).count();
        assert!(found > 49_500, "{found}");
        (0..50_000).for_each(|slot| hints.remove(hash(slot), slot));
        assert!(hints.sets.iter().all(|Set(entries)| *entries == [0; WAYS]));
    }

    #[test]
    fn a_slot_that_no_entry_can_hold_is_not_known() {
        let mut hints = Hints::default();
        hints.insert(7, SLOT - 1);
        assert_eq!(hints.find(7), SLOT - 1);
        hints.remove(7, SLOT - 1);
        hints.insert(7, SLOT);
        assert_eq!(hints.find(7), u32::MAX);
    }
}
