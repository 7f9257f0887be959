//! Searches for one of a few bytes in a stretch of text of the length of a line.
//!
//! `memchr` chooses the best instructions of the machine at each call; for the 60 bytes of a header line the choice
//! costs more than the search. What every x86-64 has is chosen here when the program is built.

#[cfg(not(target_arch = "x86_64"))]
pub(crate) use memchr::{memchr, memchr2, memchr3};

#[cfg(target_arch = "x86_64")]
pub(crate) use sse2::{memchr, memchr2, memchr3};

#[cfg(target_arch = "x86_64")]
mod sse2 {
    use ::memchr::arch::x86_64::sse2::memchr::{One, Three, Two};

    /// As [`memchr::memchr`].
    #[inline]
    pub(crate) fn memchr(needle: u8, text: &[u8]) -> Option<usize> {
        match One::new(needle) {
            Some(searcher) => searcher.find(text),
            None => ::memchr::memchr(needle, text),
        }
    }

    /// As [`memchr::memchr2`].
    #[inline]
    pub(crate) fn memchr2(first: u8, second: u8, text: &[u8]) -> Option<usize> {
        match Two::new(first, second) {
            Some(searcher) => searcher.find(text),
            None => ::memchr::memchr2(first, second, text),
        }
    }

    /// As [`memchr::memchr3`].
    #[inline]
    pub(crate) fn memchr3(first: u8, second: u8, third: u8, text: &[u8]) -> Option<usize> {
        match Three::new(first, second, third) {
            Some(searcher) => searcher.find(text),
            None => ::memchr::memchr3(first, second, third, text),
        }
    }
}
