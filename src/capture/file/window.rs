//! The part of a file that is mapped, so that what is read next can be fetched before.
//!
//! To copy a large file out of the system's memory takes a run over it a third of its time, and most of that is waiting:
//! nothing of the file is in the processor's caches. So what is read next is mapped, and fetched while the packets of
//! this block are looked at: when the system copies it, it is there.
//!
//! The map is never read: a file that is cut, changed or taken away can neither end the process nor change what was
//! read. A part that is not all in memory is not mapped: to read it from disk is left to the plain reads, which have
//! the system's read-ahead. Parts are as large as the largest pages, and begin where these do: where the system holds
//! the file in large pieces (depending on kernel, file system and how the file was written), mapping costs next to
//! nothing; where it does not, about as much as fetching gains.

use std::fs::File;
use std::ops::Range;
use std::ptr;

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};

use super::super::Ahead;

/// Bytes of a part. They count as memory of the process.
const PART: usize = 2 << 20;

/// Places in a part that the system is asked about are whole pages of this size from its beginning: the largest that
/// any uses for all memory.
const PAGE: usize = 64 << 10;

/// The part of a file that is mapped, at most one at a time.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// What part of the file was looked at last.
    part: Range<u64>,
    /// Where that is mapped, if it is.
    map: Option<usize>,
    /// What is added to a place in the block for the address of the byte that is read as much later as the block is
    /// long.
    shift: Option<usize>,
}

impl Window {
    /// A block of a file of `length` bytes was read up to `position`, and begins at `start` in its memory.
    pub(super) fn reach(&mut self, file: &File, length: u64, position: u64, start: usize) {
        if !self.part.contains(&position) {
            self.close();
            if position < length {
                self.open(file, length, position);
            }
        }
        let inside = position.wrapping_sub(self.part.start) as usize;
        self.shift = self.map.map(|map| map.wrapping_add(inside).wrapping_sub(start));
    }

    /// What is to be fetched while the packets at `places` in the block are looked at.
    pub(super) fn ahead(&self, places: Range<usize>) -> Ahead {
        self.shift.map_or_else(Ahead::default, |shift| {
            Ahead::new(shift.wrapping_add(places.start), places.end.saturating_sub(places.start))
        })
    }

    #[allow(unsafe_code, reason = "the map is only ever an address")]
    fn open(&mut self, file: &File, length: u64, position: u64) {
        let start = position - position % PART as u64;
        self.part = start..length.min(start + PART as u64);
        // SAFETY: the system chooses a place where nothing is.
        let map =
            unsafe { mmap(ptr::null_mut(), self.size(), ProtFlags::READ, MapFlags::SHARED, file, start) };
        self.map = map.ok().map(<*mut _>::addr);
        if !self.is_in_memory() || !self.populate() {
            self.close();
        }
    }

    fn size(&self) -> usize {
        (self.part.end - self.part.start) as usize
    }

    /// Whether to read it waits for no disk, as far as the system tells of some of its pages: to ask about all takes
    /// longer than to map them.
    #[allow(unsafe_code, reason = "no crate that is used here has this call")]
    fn is_in_memory(&self) -> bool {
        let Some(map) = self.map else { return false };
        let last = (self.size() - 1) / PAGE * PAGE;
        (0..last).step_by(PART / 4).chain([last]).all(|place| {
            let mut page = 0_u8;
            // SAFETY: it is asked about the page of one byte of the map, and there is a byte for one.
            let told = unsafe { libc::mincore(ptr::without_provenance_mut(map + place), 1, &raw mut page) };
            told == 0 && page & 1 == 1
        })
    }

    /// Has all of it put into the process's tables, without which nothing is fetched.
    #[allow(unsafe_code, reason = "see `open`")]
    fn populate(&self) -> bool {
        let Some(map) = self.map else { return false };
        // SAFETY: this is what `open` mapped, and what is in it stays as it is. A file that has become shorter is an
        // error, not a signal.
        unsafe { madvise(ptr::without_provenance_mut(map), self.size(), Advice::LinuxPopulateRead).is_ok() }
    }

    #[allow(unsafe_code, reason = "see `open`")]
    fn close(&mut self) {
        if let Some(map) = self.map.take() {
            // SAFETY: this is what `open` mapped, and nothing refers to what is in it.
            let _ = unsafe { munmap(ptr::without_provenance_mut(map), self.size()) };
        }
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// What of a file the process has mapped where, from what the system says of it (proc_pid_maps(5)).
    fn maps(path: &str) -> Vec<(Range<usize>, u64)> {
        let number = |digits: &str| u64::from_str_radix(digits, 16).unwrap();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let ours = maps.lines().filter(|line| line.ends_with(path));
        let read = ours.map(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let (start, end) = fields[0].split_once('-').unwrap();
            (number(start) as usize..number(end) as usize, number(fields[2]))
        });
        read.collect()
    }

    fn file(length: usize) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&vec![7; length]).unwrap();
        file
    }

    #[test]
    fn the_byte_that_comes_as_much_later_as_the_block_is_long() {
        let length = 2 * PART + 1_000;
        let file = file(length);
        let path = file.path().to_str().unwrap();
        let mut window = Window::default();
        let mut seen = 0;
        for position in [100_000, PART - 1, PART, PART + 5, 2 * PART + 999] {
            // A block that begins at 50 and was read up to `position`: its first byte is the next that is read.
            window.reach(file.as_file(), length as u64, position as u64, 50);
            let maps = maps(path);
            let [(memory, offset)] = maps.as_slice() else { panic!("one map at a time, not {maps:?}") };
            assert!(memory.len() <= PART && offset.is_multiple_of(PART as u64));
            let address = window.ahead(60..70).left();
            assert_eq!(address.len(), 10);
            if memory.contains(&address.start) {
                assert_eq!(offset + (address.start - memory.start) as u64, position as u64 + 10);
                seen += 1;
            }
        }
        assert_eq!(seen, 4, "but the one at the end of its part");
        window.reach(file.as_file(), length as u64, length as u64, 50);
        assert!(window.ahead(60..70).left().is_empty() && maps(path).is_empty(), "at the end nothing comes");
        window.reach(file.as_file(), length as u64, 0, 0);
        drop(window);
        assert!(maps(path).is_empty());
    }

    #[test]
    fn a_file_that_is_cut_does_no_harm() {
        let file = file(PART);
        let mut window = Window::default();
        window.reach(file.as_file(), PART as u64, 4_096, 0);
        let mut ahead = window.ahead(0..PART / 2).in_pieces(2);
        assert!(!ahead.left().is_empty());
        ahead.fetch();
        file.as_file().set_len(0).unwrap();
        ahead.fetch();
        // It is cut before it is mapped, too.
        let mut window = Window::default();
        window.reach(file.as_file(), PART as u64, 4_096, 0);
        assert!(window.ahead(0..PART / 2).left().is_empty());
    }

    #[test]
    fn what_cannot_be_mapped_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let mut window = Window::default();
        window.reach(&File::open(directory.path()).unwrap(), PART as u64, 0, 0);
        assert!(window.ahead(0..1_000).left().is_empty());
    }
}
