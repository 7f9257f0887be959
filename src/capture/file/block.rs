//! The piece of a capture that is in memory.
//!
//! Input is read in large blocks with plain reads: a file that is cut while it is read gives an end and no SIGBUS, and a
//! memory map is slower. Packets are used where they lie; a record that the block's end cuts is moved to the front before
//! the next read.

use std::io::{self, ErrorKind, Read};
use std::ops::Range;

/// What the operating system keeps files in.
const PAGE: usize = 4 << 10;

/// Windows of this many bytes or more begin where whole pages can be copied to.
const LARGE: usize = 16 * PAGE;

/// A window over an input that only moves forward.
#[derive(Debug)]
pub(super) struct Block<R> {
    input: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    skip: u64,
    /// Bytes read of the input.
    position: u64,
}

impl<R: Read> Block<R> {
    /// A window of `size` bytes; it grows where a record is longer.
    pub(super) fn new(input: R, size: usize) -> Self {
        let mut block = Self { input, buffer: Vec::new(), start: 0, end: 0, skip: 0, position: 0 };
        block.widen(size.max(1));
        block
    }

    /// Makes the window at least `size` bytes.
    pub(super) fn widen(&mut self, size: usize) {
        let size = if size < LARGE { size } else { size + PAGE };
        if self.buffer.len() < size {
            self.buffer.resize(size, 0);
        }
    }

    /// What it reads from.
    pub(super) const fn input(&self) -> &R {
        &self.input
    }

    /// All of the window; offsets of packets count from here until the next `fill`.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// Where the bytes begin that are not taken yet.
    #[inline]
    pub(super) const fn start(&self) -> usize {
        self.start
    }

    /// The bytes that are here and not taken yet.
    #[inline]
    pub(super) fn unread(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Nothing was begun that is not taken to its end.
    pub(super) const fn is_clean(&self) -> bool {
        self.start == self.end && self.skip == 0
    }

    /// Takes `count` bytes more, those that are not here yet as they come.
    #[inline]
    pub(super) fn take(&mut self, count: u64) {
        let here = (self.end - self.start) as u64;
        let taken = count.min(here);
        self.start += taken as usize;
        self.skip = self.skip.saturating_add(count - taken);
    }

    /// Reads until `need` bytes are here that are not taken; false when the input ends before.
    ///
    /// The formats bound `need`. It moves what is left to the front: offsets from before are void.
    pub(super) fn fill(&mut self, need: usize) -> io::Result<bool> {
        if self.end - self.start >= need {
            return Ok(true);
        }
        self.widen(need);
        self.move_to_front();
        while self.end - self.start < need {
            if self.read()? == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Moves what is left to the front. In a large window, what is read next then lies in its page of memory as it
    /// does in its page of the file, so that the system copies whole pages; otherwise, where memory lies up to 31
    /// bytes further, some processors copy at a third of the speed.
    fn move_to_front(&mut self) {
        let left = self.end - self.start;
        let front = if self.buffer.len() < LARGE {
            0
        } else {
            let memory = self.buffer.as_ptr().addr().wrapping_add(left);
            (self.position as usize).wrapping_sub(memory) % PAGE
        };
        if front.saturating_add(left) <= self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, front);
            (self.start, self.end) = (front, front + left);
        }
    }

    /// The free part behind what is here; in a large window up to the last page that is whole.
    fn room(&self) -> Range<usize> {
        let length = self.buffer.len();
        let whole = length.saturating_sub(self.buffer.as_ptr_range().end.addr() % PAGE);
        self.end..if length >= LARGE && whole > self.end { whole } else { length }
    }

    fn read(&mut self) -> io::Result<usize> {
        if self.start == self.end || self.end == self.buffer.len() {
            self.move_to_front();
        }
        let room = self.room();
        let count = loop {
            match self.input.read(self.buffer.get_mut(room.clone()).unwrap_or_default()) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.end += count;
        self.position += count as u64;
        let skip = std::mem::take(&mut self.skip);
        self.take(skip);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte a call, and is interrupted before each.
    struct Drip<'a>(&'a [u8], bool);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(ErrorKind::Interrupted.into());
            }
            let one = buffer.len().min(1);
            self.0.read(&mut buffer[..one])
        }
    }

    #[test]
    fn moves_what_is_left_to_the_front_and_grows() {
        let mut block = Block::new(&b"abcdefghij"[..], 4);
        assert!(block.fill(3).unwrap());
        assert_eq!(block.unread(), b"abcd");
        block.take(3);
        assert!(block.fill(6).unwrap());
        assert_eq!(block.unread(), b"defghi");
        block.take(6);
        assert!(!block.fill(2).unwrap());
        assert!(!block.is_clean());
        block.take(1);
        assert!(block.is_clean());
    }

    /// Notes where in memory it is read to, against how much was read before.
    struct Pages<'a>(&'a [u8], usize, Vec<usize>);

    impl Read for Pages<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.2.push(buffer.as_ptr().addr().wrapping_sub(self.1) % PAGE);
            let count = self.0.read(buffer)?;
            self.1 += count;
            Ok(count)
        }
    }

    #[test]
    fn a_large_window_takes_whole_pages() {
        let bytes: Vec<u8> = (0..1_000_000u32).map(|number| (number / 7) as u8).collect();
        let mut block = Block::new(Pages(&bytes, 0, Vec::new()), LARGE);
        let mut seen = Vec::new();
        for step in (1..).map(|number| number * 97 % 3_001) {
            if !block.fill(step).unwrap() {
                break;
            }
            seen.extend_from_slice(&block.unread()[..step]);
            block.take(step as u64);
        }
        seen.extend_from_slice(block.unread());
        assert!(seen == bytes);
        let offsets = &block.input().2;
        assert!(offsets.len() < 30 && offsets.iter().all(|offset| *offset == 0), "{offsets:?}");
    }

    #[test]
    fn takes_what_has_not_come_yet() {
        let mut block = Block::new(Drip(b"abcdefghij", false), 4);
        assert!(block.fill(2).unwrap());
        block.take(5);
        block.take(0);
        block.take(2);
        assert!(block.fill(2).unwrap());
        assert_eq!(block.unread(), b"hi");
        block.take(9);
        assert!(!block.fill(1).unwrap());
        assert!(!block.is_clean());
    }
}
