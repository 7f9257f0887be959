//! What is certainly not in a table: most datagrams of a network are from and for endpoints that no call has to do with,
//! and one word tells.

use crate::near::fetch;

/// Bits for each hash that a new sieve is made of, at least.
const ROOM: usize = 64;

/// For so many bits there is one hash at most. Each sets three bits of one word: of endpoints that nobody knows, one in
/// a hundred is looked up in vain when the sieve is full.
const DENSITY: usize = 16;

/// Bits in a word.
const WORD: usize = u64::BITS as usize;

/// Three bits for each of many hashes. Bits of hashes that are gone stay until the sieve is full, and another one is made.
#[derive(Debug)]
pub(super) struct Sieve {
    words: Vec<u64>,
    marked: usize,
}

impl Default for Sieve {
    fn default() -> Self {
        Self::of(0, std::iter::empty())
    }
}

impl Sieve {
    /// A sieve for those `count` hashes, and for as many again.
    pub(super) fn of(count: usize, hashes: impl Iterator<Item = u64>) -> Self {
        let words = (count * ROOM / WORD).next_power_of_two().max(WORD);
        let mut sieve = Self { words: vec![0; words], marked: 0 };
        hashes.for_each(|hash| {
            sieve.mark(hash);
        });
        sieve
    }

    /// Whether a hash may have been marked.
    #[inline]
    pub(super) fn may_have(&self, hash: u64) -> bool {
        self.words.get(self.index(hash)).is_some_and(|word| !word & bits(hash) == 0)
    }

    /// Has what is known of a hash brought near.
    #[inline]
    pub(super) fn touch(&self, hash: u64) {
        self.words.get(self.index(hash)).into_iter().for_each(fetch);
    }

    /// Marks a hash; false when it is time for another sieve.
    pub(super) fn mark(&mut self, hash: u64) -> bool {
        let index = self.index(hash);
        self.words.get_mut(index).into_iter().for_each(|word| *word |= bits(hash));
        self.marked += 1;
        self.marked < self.words.len() * WORD / DENSITY
    }

    #[inline]
    const fn index(&self, hash: u64) -> usize {
        (hash >> 32) as usize & (self.words.len() - 1)
    }
}

/// The bits of a hash in its word, from the half of the hash that does not say which word it is.
#[inline]
const fn bits(hash: u64) -> u64 {
    1 << (hash % 64) | 1 << (hash >> 6 & 63) | 1 << (hash >> 12 & 63)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Address, Endpoint, PairHasher};

    #[test]
    fn what_was_marked_is_there_and_little_else() {
        let hasher = PairHasher::default();
        what_was_marked_is_there(&hasher);
        (0..64).for_each(|seed| what_was_marked_is_there(&PairHasher::seeded(seed)));
    }

    fn what_was_marked_is_there(hasher: &PairHasher) {
        let hash = |port: u16| hasher.hash_one(Endpoint::new(Address::v4([192, 0, 2, 1]), port));
        let mut sieve = Sieve::default();
        for port in 0..30_000 {
            if !sieve.mark(hash(port)) {
                let before = usize::from(port) + 1;
                sieve = Sieve::of(before, (0..=port).map(hash));
            }
        }
        assert!((0..30_000).all(|port| sieve.may_have(hash(port))));
        let others = (30_000..60_000).filter(|&port| sieve.may_have(hash(port))).count();
        assert!(others < 600, "{others}");
    }

    #[test]
    fn an_empty_one_has_nothing() {
        assert!(!Sieve::default().may_have(0));
        assert!(!Sieve::default().may_have(u64::MAX));
    }
}
