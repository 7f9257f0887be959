//! Packets in the order of their sequence numbers: decoders with a memory need each once, and the earlier one first.

use std::collections::BTreeMap;

/// Packets that wait for an earlier one; when there are more, it is lost.
const MAX_WAITING: usize = 16;

/// Packets further away than this from the next one begin the numbers anew (RFC 3550 A.1, `MAX_MISORDER`).
const MAX_MISORDER: i16 = 100;

/// Second copies are known among that many packets.
const WINDOW: u32 = u64::BITS;

/// A queue that gives out what it has got in order. A second copy vanishes; what comes when its turn is over is given
/// out at once.
pub(super) struct InOrder<T> {
    /// Number of the next packet, with turns counted; none before the first.
    next: Option<u64>,
    waiting: BTreeMap<u64, T>,
    /// Bit *i*: the packet *i* + 1 before the next one was given out.
    given: u64,
}

impl<T> Default for InOrder<T> {
    fn default() -> Self {
        Self { next: None, waiting: BTreeMap::new(), given: 0 }
    }
}

impl<T> InOrder<T> {
    /// Takes a packet, and appends what is due to `out`.
    pub(super) fn push(&mut self, sequence: u16, item: T, out: &mut Vec<T>) {
        let next = self.next.unwrap_or(u64::from(sequence) + (1 << 32));
        let step = sequence.wrapping_sub(next as u16) as i16;
        let number = next.saturating_add_signed(i64::from(step));
        if step.unsigned_abs() > MAX_MISORDER.unsigned_abs() {
            self.flush(out);
            self.give(number, item, out);
        } else if number < next {
            let back = (next - number - 1) as u32;
            let bit = if back < WINDOW { 1 << back } else { 0 };
            if self.given & bit == 0 {
                self.given |= bit;
                out.push(item);
            }
        } else {
            self.waiting.entry(number).or_insert(item);
        }
        self.next = self.next.or(Some(next));
        self.run(out);
    }

    /// Gives out all that waits.
    pub(super) fn flush(&mut self, out: &mut Vec<T>) {
        while let Some((number, item)) = self.waiting.pop_first() {
            self.give(number, item, out);
        }
    }

    fn run(&mut self, out: &mut Vec<T>) {
        while let Some(entry) = self.waiting.first_entry() {
            if Some(*entry.key()) != self.next && self.waiting.len() <= MAX_WAITING {
                return;
            }
            if let Some((number, item)) = self.waiting.pop_first() {
                self.give(number, item, out);
            }
        }
    }

    fn give(&mut self, number: u64, item: T, out: &mut Vec<T>) {
        let before = self.next.replace(number + 1).unwrap_or(number);
        let passed = u32::try_from((number + 1).abs_diff(before)).unwrap_or(WINDOW);
        self.given = self.given.checked_shl(passed).unwrap_or(0) | 1;
        out.push(item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn order(sequences: &[u16]) -> Vec<u16> {
        let (mut queue, mut out) = (InOrder::default(), Vec::new());
        sequences.iter().for_each(|&it| queue.push(it, it, &mut out));
        queue.flush(&mut out);
        out
    }

    #[test]
    fn what_was_overtaken_comes_first_and_copies_go() {
        assert_eq!(order(&[1, 2, 4, 3, 5]), [1, 2, 3, 4, 5]);
        assert_eq!(order(&[1, 2, 2, 1, 3, 3]), [1, 2, 3]);
        assert_eq!(order(&[65_534, 0, 65_535, 1]), [65_534, 65_535, 0, 1]);
        assert_eq!(order(&[5, 4, 6]), [5, 4, 6], "before the first");
        assert_eq!(order(&[1, 2, 30_000, 30_001]), [1, 2, 30_000, 30_001], "anew");
    }

    #[test]
    fn a_lost_packet_is_not_waited_for_for_ever() {
        let (mut queue, mut out) = (InOrder::default(), Vec::new());
        (0..100u16).filter(|it| *it != 10).for_each(|it| queue.push(it, it, &mut out));
        assert_eq!(out.len(), 99);
        queue.push(10, 10, &mut out);
        assert_eq!(out.last(), Some(&10), "late, beyond those that are known");
    }

    proptest! {
        #[test]
        fn a_little_disorder_is_undone(start in any::<u16>(), swaps in proptest::collection::vec(1usize..60, 0..20)) {
            let mut numbers: Vec<u16> = (0..64).map(|it| start.wrapping_add(it)).collect();
            let sorted = numbers.clone();
            // The first stays: what comes before it is told as it comes.
            swaps.iter().for_each(|&at| if numbers[at] == sorted[at] && numbers[at + 1] == sorted[at + 1] { numbers.swap(at, at + 1) });
            prop_assert_eq!(order(&numbers), sorted);
        }

        #[test]
        fn anything_comes_out_at_most_once_as_often_as_it_went_in(numbers in proptest::collection::vec(any::<u16>(), 0..200)) {
            let out = order(&numbers);
            prop_assert!(out.len() <= numbers.len());
            prop_assert!(numbers.iter().all(|it| out.contains(it)));
        }
    }
}
