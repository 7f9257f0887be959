//! Which chunks have come, of the latest (RFC 9260 6.2: a receiver lets go of what comes again).

use crate::flow::Index;

/// Chunks that are remembered; 1.5 MiB. Whoever sends a chunk again does so after a second or more (RFC 9260 16).
const CHUNKS: usize = 65_536;

/// The latest chunks, each by a hash of all that it says. The oldest goes first.
#[derive(Debug, Default)]
pub(super) struct Seen {
    hashes: Vec<u64>,
    index: Index,
    /// Where the next one goes, once there are as many as may be.
    oldest: usize,
}

impl Seen {
    /// Whether that chunk has come.
    pub(super) fn has(&self, chunk: u64) -> bool {
        self.index.find(chunk, |place| self.hashes.get(place as usize) == Some(&chunk)).is_some()
    }

    /// Notes a chunk that has not come before.
    pub(super) fn note(&mut self, chunk: u64) {
        if self.hashes.len() < CHUNKS {
            self.index.insert(chunk, self.hashes.len() as u32);
            self.hashes.push(chunk);
        } else if let Some(oldest) = self.hashes.get_mut(self.oldest) {
            self.index.remove(*oldest, self.oldest as u32);
            *oldest = chunk;
            self.index.insert(chunk, self.oldest as u32);
            self.oldest = (self.oldest + 1) % CHUNKS;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_known() {
        let mut seen = Seen::default();
        let chunk = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let last = 3 * CHUNKS as u64 + 7;
        for number in 1..=last {
            assert!(!seen.has(chunk(number)));
            seen.note(chunk(number));
            assert!(seen.has(chunk(number)));
        }
        let first = last - CHUNKS as u64 + 1;
        assert!((first..=last).all(|number| seen.has(chunk(number))));
        assert!((1..first).all(|number| !seen.has(chunk(number))));
        assert_eq!((seen.hashes.len(), seen.index.len()), (CHUNKS, CHUNKS));
    }
}
