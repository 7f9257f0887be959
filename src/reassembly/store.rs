//! The segments of one direction that came before their turn.

use std::collections::BTreeMap;

use crate::time::Timestamp;

/// What a stored piece costs beside its bytes: its share of a tree node and its allocation.
const PIECE: usize = 96;

/// Bytes that wait for the bytes before them.
#[derive(Debug)]
pub(super) struct Piece {
    /// The bytes; never empty.
    pub(super) bytes: Box<[u8]>,
    /// When they were captured.
    pub(super) captured: Timestamp,
    /// Packet time of their arrival.
    pub(super) arrived: Timestamp,
    /// Bytes after them that the capture cut off.
    pub(super) missing: u32,
    /// They begin where a captured segment's payload began.
    pub(super) segment_start: bool,
}

/// What is said of bytes that are to be stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    pub(super) captured: Timestamp,
    pub(super) arrived: Timestamp,
    pub(super) missing: u32,
}

/// Pieces in the order of their positions in the stream; no two overlap.
#[derive(Debug, Default)]
pub(super) struct Store {
    pieces: BTreeMap<u64, Piece>,
    bytes: usize,
}

impl Store {
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// How many pieces there are.
    pub(super) fn len(&self) -> usize {
        self.pieces.len()
    }

    /// How many bytes wait.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// What that costs, by allocation: many small pieces must not look cheap.
    pub(super) fn memory(&self) -> usize {
        self.bytes.saturating_add(self.pieces.len().saturating_mul(PIECE))
    }

    /// Position of the first byte.
    pub(super) fn front(&self) -> Option<(u64, &Piece)> {
        self.pieces.first_key_value().map(|(&position, piece)| (position, piece))
    }

    pub(super) fn pop_front(&mut self) -> Option<(u64, Piece)> {
        let (position, piece) = self.pieces.pop_first()?;
        self.bytes = self.bytes.saturating_sub(piece.bytes.len());
        Some((position, piece))
    }

    /// Takes the bytes that are not there yet: whoever came first wins. Returns how many were taken. The number of
    /// steps is that of the pieces already there between the first and the last byte, which the owner caps.
    pub(super) fn insert(&mut self, position: u64, bytes: &[u8], origin: Origin) -> usize {
        let end = position.saturating_add(bytes.len() as u64);
        let mut taken = 0;
        let mut at = self.end_of_piece_over(position).unwrap_or(position);
        while at < end {
            let next = self.pieces.range(at..end).next().map_or(end, |(&start, _)| start);
            let (from, to) = ((at - position) as usize, (next - position) as usize);
            let piece = bytes.get(from..to).unwrap_or_default();
            if !piece.is_empty() {
                let missing = if next == end { origin.missing } else { 0 };
                let Origin { captured, arrived, .. } = origin;
                let segment_start = at == position;
                let piece = Piece { bytes: piece.into(), captured, arrived, missing, segment_start };
                taken += piece.bytes.len();
                self.pieces.insert(at, piece);
            }
            at = self.end_of_piece_over(next).unwrap_or(end);
        }
        self.bytes = self.bytes.saturating_add(taken);
        taken
    }

    /// The end of the piece that covers `position`, if one does.
    fn end_of_piece_over(&self, position: u64) -> Option<u64> {
        let (&start, piece) = self.pieces.range(..=position).next_back()?;
        let end = start.saturating_add(piece.bytes.len() as u64);
        (end > position).then_some(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ORIGIN: Origin = Origin { captured: Timestamp(0), arrived: Timestamp(0), missing: 0 };

    #[test]
    fn the_first_bytes_win() {
        let mut store = Store::default();
        assert_eq!(store.insert(2, b"cd", ORIGIN), 2);
        assert_eq!(store.insert(6, b"gh", ORIGIN), 2);
        assert_eq!(store.insert(0, b"ABCDEFGHIJ", ORIGIN), 6);
        assert_eq!(store.insert(3, b"xyz", ORIGIN), 0);
        let mut all = Vec::new();
        while let Some((position, piece)) = store.pop_front() {
            assert_eq!(position, all.len() as u64);
            all.extend_from_slice(&piece.bytes);
        }
        assert_eq!(all, b"ABcdEFghIJ");
        assert_eq!(store.memory(), 0);
    }

    proptest! {
        /// Against an array of optional bytes.
        #[test]
        fn does_what_an_array_does(inserts in prop::collection::vec((0usize..60, 0usize..20, any::<u8>()), 0..40)) {
            let mut store = Store::default();
            let mut array = [None; 80];
            for (position, length, value) in inserts {
                let free = array[position..position + length].iter().filter(|slot| slot.is_none()).count();
                prop_assert_eq!(store.insert(position as u64, &vec![value; length], ORIGIN), free);
                array[position..position + length].iter_mut().for_each(|slot| {
                    slot.get_or_insert(value);
                });
                prop_assert_eq!(store.bytes(), array.iter().flatten().count());
            }
            let mut last = 0;
            while let Some((position, piece)) = store.pop_front() {
                prop_assert!(position >= last);
                last = position + piece.bytes.len() as u64;
                for (offset, &byte) in piece.bytes.iter().enumerate() {
                    prop_assert_eq!(array[position as usize + offset].take(), Some(byte));
                }
            }
            prop_assert!(array.iter().all(Option::is_none));
        }
    }
}
