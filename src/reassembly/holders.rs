//! Who holds bytes, in the order of asking, and who waits for leave to.

use std::collections::VecDeque;

use crate::flow::EntryId;
use crate::time::Timestamp;

/// A connection, named so that a later one in the same table entry is not mistaken for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) id: EntryId,
    pub(super) number: u64,
}

/// Connections in order of time. Whoever has let go stays in the line until it is looked at, or until such are the
/// most.
#[derive(Debug, Default)]
pub(super) struct Line {
    line: VecDeque<(Name, Timestamp)>,
    /// Length of the line when it was last cleared of those who let go.
    cleared: usize,
}

impl Line {
    /// Adds a connection at the end. `stands` tells who still belongs into the line.
    pub(super) fn push(
        &mut self,
        name: Name,
        now: Timestamp,
        stands: impl FnMut(&(Name, Timestamp)) -> bool,
    ) {
        const SMALL: usize = 64;
        if self.line.len() > self.cleared.saturating_mul(2).saturating_add(SMALL) {
            self.line.retain(stands);
            self.cleared = self.line.len();
        }
        self.line.push_back((name, now));
    }

    pub(super) fn pop(&mut self) -> Option<(Name, Timestamp)> {
        self.line.pop_front()
    }

    pub(super) fn front(&self) -> Option<(Name, Timestamp)> {
        self.line.front().copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Name> {
        self.line.iter().map(|&(name, _)| name)
    }

    pub(super) fn len(&self) -> usize {
        self.line.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Address, Endpoint, FlowKey, Table};

    #[test]
    fn those_who_let_go_do_not_pile_up() {
        let end = Endpoint::new(Address::v4([192, 0, 2, 1]), 5060);
        let id = Table::new(1).insert(0, FlowKey::new(end, end).0, (), Timestamp(0)).unwrap();
        let mut line = Line::default();
        for number in 0..100_000 {
            line.push(Name { id, number }, Timestamp(number), |(name, _)| name.number % 1000 == 0);
        }
        assert!(line.len() < 400, "{}", line.len());
        assert_eq!(line.front(), Some((Name { id, number: 0 }, Timestamp(0))));
    }
}
