//! What is read next, brought near before it is read.

use crate::near::fetch_at;

/// Bytes of a line of the processor's caches.
const LINE: usize = 64;

/// Lines that are fetched together: with more in a piece, less is spent on counting.
const PAIR: usize = 2 * LINE;

/// A stretch of memory that the system will soon read: it is fetched in pieces, so that waiting for it and other work go
/// on at the same time. By default there is none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ahead {
    /// The address of what is to be fetched next, and that of the end.
    next: usize,
    end: usize,
    /// Pairs of lines in a piece.
    pace: usize,
}

impl Ahead {
    /// The `length` bytes from `address` on.
    pub(super) const fn new(address: usize, length: usize) -> Self {
        Self { next: address, end: address.saturating_add(length), pace: 0 }
    }

    /// The same, with pieces such that `count` of them are all of it.
    #[must_use]
    pub(crate) fn in_pieces(self, count: usize) -> Self {
        let pairs = self.end.saturating_sub(self.next).div_ceil(PAIR);
        Self { pace: pairs.div_ceil(count.max(1)), ..self }
    }

    /// Has the next piece fetched.
    #[inline(always)]
    pub(crate) fn fetch(&mut self) {
        if self.next < self.end {
            for _ in 0..self.pace {
                fetch_at(self.next);
                fetch_at(self.next.wrapping_add(LINE));
                self.next = self.next.wrapping_add(PAIR);
            }
        }
    }
}

#[cfg(test)]
impl Ahead {
    /// What is still to be fetched.
    pub(super) const fn left(self) -> std::ops::Range<usize> {
        self.next..self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_pieces_are_all_of_it() {
        for (length, count) in [(1, 1), (127, 3), (24_576, 64), (24_577, 64), (1 << 20, 7), (300, 1_000)] {
            let bytes = vec![0; length];
            let mut ahead = Ahead::new(bytes.as_ptr().addr(), length).in_pieces(count);
            let first = ahead.left();
            for _ in 1..count.min(length.div_ceil(PAIR)) {
                let before = ahead.left().start;
                ahead.fetch();
                let piece = ahead.left().start - before;
                assert!(
                    piece.is_multiple_of(LINE) && piece <= (length / count).next_multiple_of(PAIR) + PAIR
                );
            }
            ahead.fetch();
            assert!(ahead.left().is_empty(), "{length} in {count}: {:?} of {first:?}", ahead.left());
            let end = ahead.left().start;
            ahead.fetch();
            assert_eq!(ahead.left().start, end, "behind the end nothing is fetched");
        }
    }

    #[test]
    fn where_nothing_is_mapped_nothing_happens() {
        for address in [1, 1 << 20, usize::MAX - 200] {
            let mut ahead = Ahead::new(address, 100_000).in_pieces(2);
            ahead.fetch();
            ahead.fetch();
        }
        let mut none = Ahead::default().in_pieces(0);
        none.fetch();
        assert!(none.left().is_empty());
    }
}
