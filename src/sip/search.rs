//! Searches in stretches of text of the length of a line.
//!
//! `memchr` chooses the best instructions of the machine at each call, and looks at what is shorter than a vector byte
//! by byte; for the 60 bytes of a header line both cost more than the search. Here sixteen bytes are compared at once
//! with what every machine has, the last of a text together with some before them.

use wide::u8x16;

/// Bytes that are compared at once.
const BLOCK: usize = 16;

/// Bytes that [`LineFeeds`] looks at together.
const WINDOW: usize = 64;

/// Where `needle` first is in `text`.
#[inline]
pub(super) fn memchr(needle: u8, text: &[u8]) -> Option<usize> {
    find([needle], text)
}

/// Where one of two bytes first is in `text`.
#[inline]
pub(super) fn memchr2(first: u8, second: u8, text: &[u8]) -> Option<usize> {
    find([first, second], text)
}

/// Where one of three bytes first is in `text`.
#[inline]
pub(super) fn memchr3(first: u8, second: u8, third: u8, text: &[u8]) -> Option<usize> {
    find([first, second, third], text)
}

/// Where one of four bytes first is in `text`.
#[inline]
pub(super) fn memchr4(first: u8, second: u8, third: u8, fourth: u8, text: &[u8]) -> Option<usize> {
    find([first, second, third, fourth], text)
}

#[inline]
fn find<const N: usize>(needles: [u8; N], text: &[u8]) -> Option<usize> {
    let mut rest = text;
    while let Some((block, behind)) = rest.split_first_chunk() {
        let marks = marks(needles, block);
        if marks != 0 {
            return Some(text.len() - rest.len() + marks.trailing_zeros() as usize);
        }
        rest = behind;
    }
    let marks = match text.last_chunk() {
        Some(last) => marks(needles, last) >> (BLOCK - rest.len()),
        None => short(needles, rest)?,
    };
    (marks != 0).then(|| text.len() - rest.len() + marks.trailing_zeros() as usize)
}

/// The marks of a text that is shorter than a block: its first half and its last, which may overlap.
#[inline]
fn short<const N: usize>(needles: [u8; N], text: &[u8]) -> Option<u32> {
    const HALF: usize = BLOCK / 2;
    let (Some(first), Some(last)) = (text.first_chunk::<HALF>(), text.last_chunk::<HALF>()) else {
        return text.iter().position(|byte| needles.contains(byte)).map(|place| 1 << place);
    };
    let both = u128::from(u64::from_le_bytes(*last)) << 64 | u128::from(u64::from_le_bytes(*first));
    let marks = marks(needles, &both.to_le_bytes());
    Some(marks & 0xff | marks >> HALF << (text.len() - HALF))
}

/// One bit for each byte of a block, set where it is one of `needles`.
#[inline]
fn marks<const N: usize>(needles: [u8; N], block: &[u8; BLOCK]) -> u32 {
    let block = u8x16::new(*block);
    let hits = needles.into_iter().map(|needle| block.simd_eq(u8x16::splat(needle)));
    hits.fold(u8x16::ZERO, |all, hits| all | hits).to_bitmask()
}

/// The line feeds of a text, one after the other. A search for each begins anew; here one look serves all the lines
/// in a window.
#[derive(Clone, Debug)]
pub(super) struct LineFeeds<'a> {
    text: &'a [u8],
    /// Where the window ends.
    end: usize,
    /// One bit for each byte of the window that is a line feed to come.
    marks: u64,
}

impl<'a> LineFeeds<'a> {
    /// Those from `from` on.
    #[inline]
    pub(super) const fn new(text: &'a [u8], from: usize) -> Self {
        Self { text, end: from, marks: 0 }
    }

    /// Where the text goes on behind the next line feed.
    #[inline(always)]
    pub(super) fn next(&mut self) -> Option<usize> {
        while self.marks == 0 {
            let rest = self.text.get(self.end..)?;
            self.marks = match rest.first_chunk() {
                Some(window) => line_feeds(window),
                None if rest.is_empty() => return None,
                None => line_feeds_at_end(rest),
            };
            self.end += WINDOW;
        }
        let behind = self.end - WINDOW + self.marks.trailing_zeros() as usize + 1;
        self.marks &= self.marks - 1;
        Some(behind)
    }
}

#[inline]
fn line_feeds(window: &[u8; WINDOW]) -> u64 {
    let (blocks, _) = window.as_chunks::<BLOCK>();
    let marks = blocks.iter().map(|block| u64::from(marks(*b"\n", block)));
    marks.zip(0u32..).fold(0, |all, (marks, place)| all | marks << (place * BLOCK as u32))
}

#[inline(never)]
fn line_feeds_at_end(rest: &[u8]) -> u64 {
    let mut window = [0; WINDOW];
    window.iter_mut().zip(rest).for_each(|(slot, &byte)| *slot = byte);
    line_feeds(&window)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Few letters and all lengths around those of block and window: every path finds what a plain walk finds.
        #[test]
        fn finds_what_a_walk_finds(text in prop::collection::vec(prop::sample::select(b"abc\nx\0".as_slice()), 0..150), from in 0usize..150) {
            let text: &[u8] = &text;
            let walk = |needles: &[u8]| text.iter().position(|byte| needles.contains(byte));
            prop_assert_eq!(memchr(b'a', text), walk(b"a"));
            prop_assert_eq!(memchr(b'q', text), None);
            prop_assert_eq!(memchr2(b'q', b'\n', text), walk(b"\n"));
            prop_assert_eq!(memchr3(b'b', b'\0', b'q', text), walk(b"b\0"));
            let mut feeds = LineFeeds::new(text, from);
            let found: Vec<usize> = std::iter::from_fn(|| feeds.next()).collect();
            let walked: Vec<usize> = (from..text.len()).filter(|&at| text[at] == b'\n').map(|at| at + 1).collect();
            prop_assert_eq!(found, walked);
        }

        #[test]
        fn finds_the_one_in_many(length in 0usize..100, place in any::<prop::sample::Index>()) {
            let mut text = vec![b'.'; length];
            prop_assert_eq!(memchr(b'!', &text), None);
            if length > 0 {
                let place = place.index(length);
                text[place] = b'!';
                prop_assert_eq!(memchr(b'!', &text), Some(place));
                prop_assert_eq!(memchr3(b'?', b'!', b'"', &text), Some(place));
            }
        }
    }
}
