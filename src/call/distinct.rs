//! How many different hashes there were: exactly, and about when there are very many.
//!
//! In: 64-bit hashes that nobody outside can choose. Out: their number. Bounded: what is counted exactly takes 7 bytes
//! each, and there are 16 KiB in its place when that were too much.

use crate::near::fetch;

/// Hashes counted exactly; beyond, the number is estimated.
const EXACT: usize = 1_800_000;

/// The first bits of a hash tell its part. The parts grow one by one, so that there are never two copies of all.
const PART_BITS: u32 = 12;

/// Bits kept of a hash in its part. With those that tell the part they are 52: two of a million hashes share them once
/// in 10,000 times.
const KEPT_BITS: u32 = 40;

/// HyperLogLog registers (Flajolet et al. 2007), 2^14 of them: a standard error of 0.8 %.
const REGISTER_BITS: u32 = 14;

/// Hashes that wait for their place.
const MAX_RECENT: usize = 64;

/// A set of hashes that turns into an estimate when it grows too large.
#[derive(Clone, Debug, Default)]
pub(super) struct Distinct {
    /// Empty until the first hash is put in its place, and when there are too many.
    parts: Vec<Part>,
    /// In all parts.
    len: usize,
    /// Those that came last and are not in their places yet: the parts are large, and their cache misses overlap when
    /// many are looked for together.
    recent: Vec<u64>,
    registers: Vec<u8>,
    /// Set in a copy that has the number only.
    counted: Option<(u64, bool)>,
}

impl Distinct {
    /// The number alone.
    pub(super) fn counted(counted: (u64, bool)) -> Self {
        Self { counted: Some(counted), ..Self::default() }
    }

    #[inline]
    pub(super) fn add(&mut self, hash: u64) {
        self.recent.push(hash);
        if self.recent.len() >= MAX_RECENT {
            self.place_recent();
        }
    }

    fn place_recent(&mut self) {
        let recent = std::mem::take(&mut self.recent);
        if self.registers.is_empty() {
            self.parts.resize_with(1 << PART_BITS, Part::default);
            let parts =
                || recent.iter().filter_map(|&hash| Some((self.parts.get(part_of(hash))?, kept(hash))));
            parts().for_each(|(part, _)| fetch(part));
            parts().for_each(|(part, key)| part.touch(key));
            for &hash in &recent {
                let part = self.parts.get_mut(part_of(hash));
                self.len += usize::from(part.is_some_and(|part| part.insert(kept(hash))));
            }
        } else {
            recent.iter().for_each(|&hash| self.estimate(hash));
        }
        if self.len > EXACT {
            self.registers = vec![0; 1 << REGISTER_BITS];
            self.len = 0;
            for (number, part) in (0..).zip(std::mem::take(&mut self.parts)) {
                for kept in part.keys() {
                    self.estimate(number << (64 - PART_BITS) | kept << (64 - PART_BITS - KEPT_BITS));
                }
            }
        }
        self.recent = recent;
        self.recent.clear();
    }

    fn contains(&self, hash: u64) -> bool {
        self.parts.get(part_of(hash)).is_some_and(|part| part.find(kept(hash)).is_ok())
    }

    fn estimate(&mut self, hash: u64) {
        let register = (hash >> (64 - REGISTER_BITS)) as usize;
        let rank = (hash << REGISTER_BITS).leading_zeros().min(64 - REGISTER_BITS) as u8 + 1;
        if let Some(highest) = self.registers.get_mut(register) {
            *highest = rank.max(*highest);
        }
    }

    /// How many there were, and whether that is an estimate.
    pub(super) fn count(&self) -> (u64, bool) {
        if let Some(counted) = self.counted {
            return counted;
        }
        if self.registers.is_empty() {
            let mut recent: Vec<u64> =
                self.recent.iter().copied().filter(|&hash| !self.contains(hash)).collect();
            recent.sort_unstable();
            recent.dedup();
            return ((self.len + recent.len()) as u64, false);
        }
        let count = self.registers.len() as f64;
        let sum: f64 = self.registers.iter().map(|&rank| 0.5f64.powi(i32::from(rank))).sum();
        let bias = 0.7213 / (1.0 + 1.079 / count);
        ((bias * count * count / sum).round() as u64, true)
    }
}

const fn part_of(hash: u64) -> usize {
    (hash >> (64 - PART_BITS)) as usize
}

/// What is kept of a hash in its part; never 0.
const fn kept(hash: u64) -> u64 {
    let kept = (hash >> (64 - PART_BITS - KEPT_BITS)) & ((1 << KEPT_BITS) - 1);
    if kept == 0 { 1 } else { kept }
}

/// A place of a part; all 0 where it is free.
type Place = [u8; (KEPT_BITS / 8) as usize];

/// A part of a set: each key at its place or in the next free one behind it.
#[derive(Clone, Debug, Default)]
struct Part {
    places: Box<[Place]>,
    len: u32,
}

impl Part {
    /// Where a search for a key begins.
    #[inline]
    const fn home(&self, key: u64) -> usize {
        (((key >> (KEPT_BITS - 32)) * self.places.len() as u64) >> 32) as usize
    }

    /// Fetches what a search for a key looks at.
    #[inline]
    fn touch(&self, key: u64) {
        self.places.get(self.home(key)).into_iter().for_each(fetch);
    }

    /// Where a key is, or else where it belongs.
    fn find(&self, key: u64) -> Result<usize, usize> {
        let size = self.places.len();
        let mut at = self.home(key);
        // One place at least is free.
        while let Some(place) = self.places.get(at) {
            match unpacked(*place) {
                0 => return Err(at),
                found if found == key => return Ok(at),
                _ => at = if at + 1 == size { 0 } else { at + 1 },
            }
        }
        Err(at)
    }

    /// Whether the key is new.
    fn insert(&mut self, key: u64) -> bool {
        let Err(mut at) = self.find(key) else { return false };
        // At most three quarters are in use; behind that, the next free place is far.
        if (self.len as usize + 1) * 4 > self.places.len() * 3 {
            self.grow();
            at = self.find(key).unwrap_or_else(|place| place);
        }
        if let Some(place) = self.places.get_mut(at) {
            *place = packed(key);
            self.len += 1;
        }
        true
    }

    fn grow(&mut self) {
        let before = std::mem::take(&mut self.places);
        self.places = vec![Place::default(); before.len() + before.len() / 4 + 8].into();
        for key in before.iter().copied().map(unpacked).filter(|&key| key != 0) {
            let Err(at) = self.find(key) else { continue };
            self.places.get_mut(at).into_iter().for_each(|place| *place = packed(key));
        }
    }

    fn keys(&self) -> impl Iterator<Item = u64> {
        self.places.iter().copied().map(unpacked).filter(|&key| key != 0)
    }
}

fn unpacked([a, b, c, d, e]: Place) -> u64 {
    u64::from(u32::from_le_bytes([a, b, c, d])) | u64::from(e) << 32
}

const fn packed(key: u64) -> Place {
    let [a, b, c, d, e, ..] = key.to_le_bytes();
    [a, b, c, d, e]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::BuildHasher;

    #[test]
    fn all_are_counted_and_then_about_all() {
        let hasher = foldhash::quality::FixedState::with_seed(1);
        let mut ids = Distinct::default();
        for number in 0..EXACT as u64 {
            ids.add(hasher.hash_one(number));
            ids.add(hasher.hash_one(number / 2));
            assert!(number > 300 || ids.count() == (number + 1, false), "at any time");
        }
        assert_eq!(ids.count(), (EXACT as u64, false));
        let places: usize = ids.parts.iter().map(|part| part.places.len()).sum();
        assert!(places * size_of::<Place>() < EXACT * 9);
        for number in 0..2 * EXACT as u64 {
            ids.add(hasher.hash_one(number));
        }
        let (count, estimated) = ids.count();
        assert!(estimated && ids.parts.is_empty());
        let all = 2 * EXACT as u64;
        assert!(count.abs_diff(all) < all / 40, "{count} for {all}");
    }

    #[test]
    fn hashes_at_the_edges_are_hashes() {
        let mut ids = Distinct::default();
        for hash in [0, 1 << 12, u64::MAX, u64::MAX << 12, 1 << 63, 1 << 52].into_iter().cycle().take(1000) {
            ids.add(hash);
        }
        // 52 bits tell them apart; a key of 0 is taken for 1.
        assert_eq!(ids.count(), (4, false));
    }
}
