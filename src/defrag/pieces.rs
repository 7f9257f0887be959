//! Which bytes of a datagram are there, and where they are kept.

/// How many disjoint pieces a datagram may be in. The smallest MTU of IPv6 makes 53 of the longest datagram,
/// Ethernet's 45; a sender of eight-byte pieces wants long lists to be searched (FragmentSmack,
/// CVE-2018-5391), not to be understood.
pub(super) const MAX_PIECES: usize = 1024;

/// Bytes `start..end` of the datagram, kept at `at` of its arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    start: u32,
    end: u32,
    at: u32,
}

/// Disjoint pieces in the order of the datagram. What came first stays.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    sorted: Vec<Piece>,
    received: u32,
}

/// How a fragment lies among the pieces that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fit {
    /// Bytes of it that are there already.
    pub(super) covered: u32,
    /// Those bytes are the same.
    pub(super) agrees: bool,
}

impl Pieces {
    /// Bytes that are there.
    pub(super) const fn received(&self) -> u32 {
        self.received
    }

    /// Where the last piece ends.
    pub(super) fn reach(&self) -> u32 {
        self.sorted.last().map_or(0, |piece| piece.end)
    }

    pub(super) fn is_full(&self) -> bool {
        self.sorted.len() >= MAX_PIECES
    }

    /// Bytes allocated.
    pub(super) fn allocated(&self) -> usize {
        self.sorted.capacity() * size_of::<Piece>()
    }

    pub(super) fn clear(&mut self) {
        self.sorted.clear();
        self.received = 0;
    }

    /// Compares `bytes` at `offset` with what `arena` holds of the same range.
    pub(super) fn fit(&self, offset: u32, bytes: &[u8], arena: &[u8]) -> Fit {
        let end = offset.saturating_add(bytes.len() as u32);
        let mut fit = Fit { covered: 0, agrees: true };
        for piece in self.sorted.iter().skip(self.first_after(offset)).take_while(|piece| piece.start < end) {
            let (from, to) = (piece.start.max(offset), piece.end.min(end));
            fit.covered += to.saturating_sub(from);
            let new = part(bytes, from.saturating_sub(offset), to.saturating_sub(from));
            let old = part(arena, piece.at + (from - piece.start), to.saturating_sub(from));
            fit.agrees &= new == old;
        }
        fit
    }

    /// Adds the bytes `offset..end`, kept at `at`, where nothing is yet; the pieces around them stay as they are.
    pub(super) fn add(&mut self, offset: u32, end: u32, at: u32) {
        let mut index = self.first_after(offset);
        let mut from = offset;
        while from < end && !self.is_full() {
            let next = self.sorted.get(index).copied();
            let to = next.map_or(end, |piece| piece.start.min(end));
            if from < to {
                self.sorted.insert(index, Piece { start: from, end: to, at: at + (from - offset) });
                self.received += to - from;
                index += 1;
            }
            from = next.map_or(end, |piece| piece.end);
            index += 1;
        }
    }

    /// Puts the bytes up to the first hole into `payload`.
    pub(super) fn join(&self, arena: &[u8], payload: &mut Vec<u8>) {
        payload.clear();
        for piece in &self.sorted {
            if piece.start as usize != payload.len() {
                return;
            }
            payload.extend_from_slice(part(arena, piece.at, piece.end - piece.start));
        }
    }

    /// Index of the first piece that ends behind `offset`; fragments mostly come in order.
    fn first_after(&self, offset: u32) -> usize {
        if self.reach() <= offset {
            self.sorted.len()
        } else {
            self.sorted.partition_point(|piece| piece.end <= offset)
        }
    }
}

/// `length` bytes at `start`.
fn part(bytes: &[u8], start: u32, length: u32) -> &[u8] {
    let start = start as usize;
    bytes.get(start..start.saturating_add(length as usize)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_holes_are_filled() {
        let mut pieces = Pieces::default();
        let arena = b"bbffXabcdefghY";
        pieces.add(1, 3, 0);
        pieces.add(5, 7, 2);
        assert_eq!((pieces.received(), pieces.reach()), (4, 7));
        assert_eq!(pieces.fit(0, b"abcdefgh", arena), Fit { covered: 4, agrees: false });
        assert_eq!(pieces.fit(1, b"bb", arena), Fit { covered: 2, agrees: true });
        assert_eq!(pieces.fit(3, b"de", arena), Fit { covered: 0, agrees: true });
        pieces.add(0, 8, 5);
        let mut whole = Vec::new();
        pieces.join(arena, &mut whole);
        assert_eq!(whole, b"abbdeffh");
        assert_eq!(pieces.received(), 8);
        pieces.add(9, 11, 5);
        pieces.join(arena, &mut whole);
        assert_eq!(whole, b"abbdeffh", "up to the hole");
    }

    #[test]
    fn the_number_of_pieces_is_capped() {
        let mut pieces = Pieces::default();
        for index in 0..5000 {
            pieces.add(index * 2, index * 2 + 1, 0);
        }
        assert_eq!(pieces.received() as usize, MAX_PIECES);
    }
}
