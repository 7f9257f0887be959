//! Who answered the INVITE that is to begin a call: To-tags, and what came with each (RFC 3261 19.3).

use smallvec::SmallVec;

/// To-tags kept. Attack: an INVITE with any number of answers.
const MAX_TAGS: usize = 32;

/// It came in a provisional answer.
pub(super) const EARLY: u64 = 1;

/// It came in a 2xx and not in a BYE since.
pub(super) const UP: u64 = 2;

const MARKS: u64 = EARLY | UP;

/// Hashes of To-tags, in the order of their first.
#[derive(Debug, Default)]
pub(in crate::call) struct AnswerTags(SmallVec<[u64; 2]>);

impl AnswerTags {
    /// Keeps a tag.
    pub(in crate::call) fn know(&mut self, tag: u64) {
        if !self.has(tag) && self.0.len() < MAX_TAGS {
            self.0.push(tag & !MARKS);
        }
    }

    pub(super) fn has(&self, tag: u64) -> bool {
        self.0.iter().any(|known| is(*known, tag))
    }

    /// Marks a tag, if it is known.
    pub(super) fn mark(&mut self, tag: u64, mark: u64) {
        self.0.iter_mut().filter(|known| is(**known, tag)).for_each(|known| *known |= mark);
    }

    /// Takes a mark from a tag; whether it had it.
    pub(super) fn unmark(&mut self, tag: u64, mark: u64) -> bool {
        let known = self.0.iter_mut().find(|known| is(**known, tag) && **known & mark != 0);
        known.map(|known| *known &= !mark).is_some()
    }

    /// How many have that mark.
    pub(super) fn marked(&self, mark: u64) -> u32 {
        self.0.iter().map(|known| u32::from(known & mark != 0)).sum()
    }

    pub(in crate::call) fn count(&self) -> u32 {
        self.0.len() as u32
    }
}

const fn is(known: u64, tag: u64) -> bool {
    known & !MARKS == tag & !MARKS
}
