//! Which transmission numbers of a direction have come, of the latest (RFC 9260 6.2: a receiver lets go of what comes again).

/// Numbers that are remembered. Whoever sends a chunk again does so after a second or more (RFC 9260 16).
const NUMBERS: usize = 1024;

const WORD: usize = u64::BITS as usize;

/// A bit for each number, the highest and those before it.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    highest: u32,
    words: [u64; NUMBERS / WORD],
}

impl Window {
    /// Whether that number has come.
    pub(super) fn has(&self, number: u32) -> bool {
        let behind = self.highest.wrapping_sub(number) as usize;
        let (at, bit) = place(number);
        behind < NUMBERS && self.words.get(at).is_some_and(|word| word & bit != 0)
    }

    /// Notes a number. One that is far from all others begins anew: so does an association.
    pub(super) fn note(&mut self, number: u32) {
        let ahead = number.wrapping_sub(self.highest) as usize;
        let behind = self.highest.wrapping_sub(number) as usize;
        if ahead < NUMBERS {
            (0..ahead).for_each(|back| self.forget(number.wrapping_sub(back as u32)));
            self.highest = number;
        } else if behind >= NUMBERS {
            *self = Self { highest: number, ..Self::default() };
        }
        let (at, bit) = place(number);
        self.words.get_mut(at).into_iter().for_each(|word| *word |= bit);
    }

    fn forget(&mut self, number: u32) {
        let (at, bit) = place(number);
        self.words.get_mut(at).into_iter().for_each(|word| *word &= !bit);
    }
}

/// The word and the bit of a number.
const fn place(number: u32) -> (usize, u64) {
    let place = number as usize % NUMBERS;
    (place / WORD, 1 << (place % WORD))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Near each other, in any order, and past the end of the numbers: what a list of all remembers.
        #[test]
        fn what_has_come_is_known(first in any::<u32>(), steps in prop::collection::vec(0u32..500, 1..200)) {
            let mut window = Window::default();
            let mut come = Vec::new();
            window.note(first);
            come.push(first);
            for step in steps {
                let number = first.wrapping_add(step);
                prop_assert_eq!(window.has(number), come.contains(&number));
                window.note(number);
                come.push(number);
            }
        }
    }

    #[test]
    fn what_is_far_begins_anew() {
        let mut window = Window::default();
        for number in [5, 2000, 1_000_000, 7] {
            window.note(number);
            assert!(window.has(number) && !window.has(number.wrapping_add(1)) && !window.has(number - 1));
        }
        window.note(6);
        window.note(7 + NUMBERS as u32);
        assert!(!window.has(6) && !window.has(7), "too long ago");
    }
}
