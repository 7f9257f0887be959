//! Who goes when a table is full: the first of all, found a part of them at once.

use std::collections::VecDeque;

/// The first of `all` in their order, one in so many of them, but at least one: a walk over all serves many that are to go.
pub(super) fn firsts<T: Ord>(mut all: Vec<T>, one_in: usize) -> VecDeque<T> {
    let part = (all.len() / one_in).max(1);
    if part < all.len() {
        all.select_nth_unstable(part);
        all.truncate(part);
        all.shrink_to_fit();
    }
    all.sort_unstable();
    all.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_and_at_least_one() {
        assert_eq!(firsts(vec![5, 3, 9, 1, 7, 8, 2, 4], 4), [1, 2]);
        assert_eq!(firsts(vec![5, 3], 4), [3]);
        assert_eq!(firsts(vec![5], 4), [5]);
        assert!(firsts(Vec::<u8>::new(), 4).is_empty());
    }
}
