//! Searches in stretches of text of the length of a line.
//!
//! `memchr` chooses the best instructions of the machine at each call, and looks at what is shorter than a vector byte
//! by byte; for the 60 bytes of a header line both cost more than the search. Here sixteen bytes are compared at once
//! with what every machine has, the last of a text together with some before them.

use wide::u8x16;

/// Bytes that are compared at once.
const BLOCK: usize = 16;

/// Bytes that [`window_marks`] looks at together.
pub(super) const WINDOW: usize = 64;

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

/// Where one of `needles` first is in `text`.
#[inline]
pub(super) fn find<const N: usize>(needles: [u8; N], text: &[u8]) -> Option<usize> {
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

/// Where one of `needles` first is in the first `length` bytes of `text`. What is behind these is looked at as well: then
/// there are no short ends.
#[inline(always)]
pub(super) fn find_within<const N: usize>(needles: [u8; N], text: &[u8], length: usize) -> Option<usize> {
    let (mut rest, mut at) = (text, 0);
    loop {
        let Some((block, behind)) = rest.split_first_chunk() else {
            return at_end(needles, rest.get(..length.saturating_sub(at))?).map(|found| at + found);
        };
        let marks = marks(needles, block);
        if marks != 0 {
            return Some(at + marks.trailing_zeros() as usize).filter(|&found| found < length);
        }
        (rest, at) = (behind, at + BLOCK);
        if at >= length {
            return None;
        }
    }
}

#[cold]
#[inline(never)]
fn at_end<const N: usize>(needles: [u8; N], text: &[u8]) -> Option<usize> {
    text.iter().position(|byte| needles.contains(byte))
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

/// How many bytes a block begins with that are printable ASCII and no blank.
#[inline]
pub(super) fn first_graphic(block: &[u8; BLOCK]) -> u32 {
    let block = u8x16::new(*block);
    let clamped = block.max(u8x16::splat(b'!')).min(u8x16::splat(b'~'));
    block.simd_eq(clamped).to_bitmask().trailing_ones()
}

/// One bit for each byte of a block, set where it is one of `needles`.
#[inline]
pub(super) fn marks<const N: usize>(needles: [u8; N], block: &[u8; BLOCK]) -> u32 {
    let block = u8x16::new(*block);
    let mut hits = u8x16::ZERO;
    for &needle in &needles {
        hits |= block.simd_eq(u8x16::splat(needle));
    }
    hits.to_bitmask()
}

/// What follows in a `text` that begins with `beginning`: compared as a whole, where a pattern compares byte by byte.
#[inline(always)]
pub(super) fn after<'a, const N: usize>(text: &'a [u8], beginning: &[u8; N]) -> Option<&'a [u8]> {
    let (found, rest) = text.split_first_chunk()?;
    (found == beginning).then_some(rest)
}

/// The first eight bytes of `text`, the first of them the lowest. Zeros stand for what is not there.
#[inline(always)]
pub(super) fn first_word(text: &[u8]) -> u64 {
    match text.first_chunk() {
        Some(&bytes) => u64::from_le_bytes(bytes),
        None => short_word(text),
    }
}

#[cold]
#[inline(never)]
fn short_word(text: &[u8]) -> u64 {
    text.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
}

/// The line feeds of a text, one after the other. A search for each begins anew; here one look serves all the lines
/// in a window.
#[derive(Clone, Copy, Debug)]
pub(super) struct LineFeeds {
    /// Where the window ends.
    end: usize,
    /// One bit for each byte of the window that is a line feed to come.
    marks: u64,
}

impl LineFeeds {
    /// Those from `from` on.
    #[inline]
    pub(super) const fn new(from: usize) -> Self {
        Self { end: from, marks: 0 }
    }

    /// Where `text`, which has to be the same each time, goes on behind the next line feed.
    #[inline(always)]
    pub(super) fn next(&mut self, text: &[u8]) -> Option<usize> {
        while self.marks == 0 {
            let rest = text.get(self.end..)?;
            self.marks = match rest.first_chunk() {
                Some(window) => window_marks(*b"\n", window),
                None if rest.is_empty() => return None,
                None => line_feeds_at_end(text, rest.len()),
            };
            self.end += WINDOW;
        }
        let behind = self.end - WINDOW + self.marks.trailing_zeros() as usize + 1;
        self.marks &= self.marks - 1;
        Some(behind)
    }
}

/// Where the line of `text` that begins at `from` ends, behind its line feed. Each is looked at anew: whether it is longer than a
/// window depends on what it says, and a processor learns that; which of many lines ends where a window does it cannot know.
#[inline(always)]
pub(super) fn line_end(text: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let rest = text.get(at..)?;
        let Some(window) = rest.first_chunk() else {
            if rest.is_empty() {
                return None;
            }
            let marks = line_feeds_at_end(text, rest.len());
            return (marks != 0).then(|| at + marks.trailing_zeros() as usize + 1);
        };
        let marks = window_marks(*b"\n", window);
        if marks != 0 {
            return Some(at + marks.trailing_zeros() as usize + 1);
        }
        at += WINDOW;
    }
}

/// One bit for each byte of a window, set where it is one of `needles`.
#[inline]
pub(super) fn window_marks<const N: usize>(needles: [u8; N], window: &[u8; WINDOW]) -> u64 {
    let (blocks, _) = window.as_chunks::<BLOCK>();
    let mut all = 0;
    for (place, block) in blocks.iter().enumerate() {
        all |= u64::from(marks(needles, block)) << (place * BLOCK);
    }
    all
}

/// All marks but the first.
#[inline]
pub(super) const fn without_lowest(marks: u64) -> u64 {
    marks & marks.wrapping_sub(1)
}

/// The marks of the last bytes of `text`, which are fewer than a window: those before them are shifted out.
#[inline(never)]
fn line_feeds_at_end(text: &[u8], last: usize) -> u64 {
    match text.last_chunk() {
        Some(window) => window_marks(*b"\n", window) >> (WINDOW - last),
        None => text.iter().rev().take(last).fold(0, |marks, &byte| marks << 1 | u64::from(byte == b'\n')),
    }
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
            let mut feeds = LineFeeds::new(from);
            let found: Vec<usize> = std::iter::from_fn(|| feeds.next(text)).collect();
            let walked: Vec<usize> = (from..text.len()).filter(|&at| text[at] == b'\n').map(|at| at + 1).collect();
            prop_assert_eq!(line_end(text, from), walked.first().copied());
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
