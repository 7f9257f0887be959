//! Who answered the INVITE that is to begin a call: To-tags, and what came with each (RFC 3261 19.3).

use smallvec::SmallVec;

/// To-tags kept; one more that comes in a 2xx takes the place of one that did not. Attack: an INVITE with any number of answers.
const MAX_TAGS: usize = 32;

/// It came in a provisional answer.
pub(super) const EARLY: u64 = 1;

/// It came in a 2xx and not in a BYE since.
pub(super) const UP: u64 = 2;

/// Its early dialog is one of the latest try, and neither a BYE nor a 199 has ended it.
pub(super) const OPEN: u64 = 4;

/// A BYE has ended its early dialog.
const LEFT: u64 = 8;

const MARKS: u64 = EARLY | UP | OPEN | LEFT;

/// Hashes of To-tags, in the order of their first.
#[derive(Debug, Default)]
pub(in crate::call) struct AnswerTags(SmallVec<[u64; 2]>);

impl AnswerTags {
    /// Keeps a tag, of a 2xx (`is_up`) in any case.
    pub(in crate::call) fn know(&mut self, tag: u64, is_up: bool) {
        if self.has(tag) {
            return;
        }
        if self.0.len() < MAX_TAGS {
            self.0.push(tag & !MARKS);
        } else if is_up && let Some(known) = self.0.iter_mut().rev().find(|known| **known & UP == 0) {
            *known = tag & !MARKS;
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

    /// A BYE ends the early dialog with that tag.
    pub(in crate::call) fn leave(&mut self, tag: u64) {
        self.know(tag, false);
        self.unmark(tag, OPEN);
        self.mark(tag, LEFT);
    }

    /// Whether BYEs have ended early dialogs, and none is left (RFC 3261 15: a BYE ends one).
    pub(in crate::call) fn are_left(&self) -> bool {
        self.marked(LEFT) > 0 && self.marked(OPEN) == 0
    }

    /// The INVITE is sent anew.
    pub(super) fn sent_anew(&mut self) {
        self.0.iter_mut().for_each(|known| *known &= !(OPEN | LEFT));
    }
}

const fn is(known: u64, tag: u64) -> bool {
    known & !MARKS == tag & !MARKS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_early_dialog_beside_the_one_that_was_left() {
        let mut tags = AnswerTags::default();
        let ring = |tags: &mut AnswerTags, tag| {
            tags.know(tag, false);
            tags.mark(tag, EARLY | OPEN);
        };
        [16, 32].into_iter().for_each(|tag| ring(&mut tags, tag));
        tags.leave(32);
        assert!(!tags.are_left());
        tags.leave(16);
        assert!(tags.are_left());
        ring(&mut tags, 48);
        assert!(!tags.are_left(), "another one begins to ring");
        tags.sent_anew();
        assert!(!tags.are_left());
        tags.leave(64);
        assert!(tags.are_left(), "the others are of an earlier try");
        assert_eq!((tags.count(), tags.marked(EARLY)), (4, 3));
    }

    #[test]
    fn who_answers_is_known_among_many() {
        let mut tags = AnswerTags::default();
        (1..=1000).for_each(|tag| tags.know(tag << 4, false));
        for tag in [1, 999, 1000] {
            tags.know(tag << 4, true);
            tags.mark(tag << 4, UP);
        }
        assert_eq!((tags.count(), tags.marked(UP)), (MAX_TAGS as u32, 3));
        assert!(tags.unmark(1000 << 4, UP) && !tags.unmark(500 << 4, UP) && !tags.has(500 << 4));
    }
}
