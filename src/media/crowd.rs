//! The calls that announced an endpoint before its latest few: a media server may have one port for all of its calls, and an
//! attacker may name one in all of his. What is asked of them costs little however many they are.

use std::collections::BTreeMap;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::endpoints::CallRef;

/// Calls in the order in which they came. Each is announced by its dialog, which takes far more memory.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    order: BTreeMap<u64, CallRef>,
    numbers: HashMap<CallRef, u64, RandomState>,
    next: u64,
}

impl Crowd {
    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    pub(super) fn has(&self, call: CallRef) -> bool {
        self.numbers.contains_key(&call)
    }

    /// Adds a call, which is not there.
    pub(super) fn push(&mut self, call: CallRef) {
        self.order.insert(self.next, call);
        self.numbers.insert(call, self.next);
        self.next += 1;
    }

    /// The call is gone, if it was there.
    pub(super) fn remove(&mut self, call: CallRef) {
        if let Some(number) = self.numbers.remove(&call) {
            self.order.remove(&number);
        }
    }

    /// Takes out the one that came last.
    pub(super) fn pop(&mut self) -> Option<CallRef> {
        let (_, call) = self.order.pop_last()?;
        self.numbers.remove(&call);
        Some(call)
    }

    /// Those that came first come first.
    pub(super) fn iter(&self) -> impl Iterator<Item = CallRef> {
        self.order.values().copied()
    }
}
