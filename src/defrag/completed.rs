//! The datagrams that were completed lately: what comes of them again is a copy.

use hashbrown::HashTable;

use crate::time::Timestamp;

/// So many are remembered; a later one takes the oldest one's place. To forget one only counts a late duplicate as a datagram
/// that failed.
pub(super) const REMEMBERED: usize = 4096;

/// Datagrams by the hash of their key, 64 bits that depend on a secret: no two share one. Which are remembered depends on their
/// order alone, so every run tells the same.
#[derive(Debug, Default)]
pub(super) struct Completed {
    /// Hash and time, the oldest from `next` on once it is full.
    ring: Vec<(u64, Timestamp)>,
    /// Where each hash is in it.
    index: HashTable<u16>,
    next: u16,
}

impl Completed {
    /// A datagram was completed.
    pub(super) fn note(&mut self, hash: u64, now: Timestamp) {
        if let Some((_, then)) = self.find(hash).and_then(|at| self.ring.get_mut(usize::from(at))) {
            *then = now;
            return;
        }
        let at = self.next;
        self.next = (at + 1) % REMEMBERED as u16;
        match self.ring.get_mut(usize::from(at)) {
            Some(oldest) => {
                let (gone, _) = std::mem::replace(oldest, (hash, now));
                if let Ok(entry) = self.index.find_entry(gone, |&known| known == at) {
                    entry.remove();
                }
            }
            None => self.ring.push((hash, now)),
        }
        let hash_of = |&at: &u16| self.ring.get(usize::from(at)).map_or(0, |(hash, _)| *hash);
        self.index.insert_unique(hash, at, hash_of);
    }

    /// When the datagram with that hash was completed; none if it was not, or too many since.
    #[inline]
    pub(super) fn when(&self, hash: u64) -> Option<Timestamp> {
        self.ring.get(usize::from(self.find(hash)?)).map(|(_, then)| *then)
    }

    #[inline]
    fn find(&self, hash: u64) -> Option<u16> {
        let is_it = |&at: &u16| self.ring.get(usize::from(at)).is_some_and(|(known, _)| *known == hash);
        self.index.find(hash, is_it).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_remembered() {
        let mut completed = Completed::default();
        let hash = |number: usize| (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for number in 0..3 * REMEMBERED {
            completed.note(hash(number), Timestamp(number as u64));
            completed.note(hash(number), Timestamp(number as u64 + 1));
            let oldest = (number + 1).saturating_sub(REMEMBERED);
            assert_eq!(completed.when(hash(oldest)), Some(Timestamp(oldest as u64 + 1)));
            assert!(oldest == 0 || completed.when(hash(oldest - 1)).is_none());
        }
        assert_eq!((completed.ring.len(), completed.index.len()), (REMEMBERED, REMEMBERED));
    }
}
