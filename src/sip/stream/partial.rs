//! The beginning of a message whose end has not come yet.

use std::collections::VecDeque;

use crate::near::fetch;
use crate::sip::Share;
use crate::time::Timestamp;

/// More segments than this in one partial message are not told apart: 1-byte segments must not cost sixteen bytes
/// each.
const MAX_SHARES: usize = 4096;

/// Buffers kept for use again, and the largest that is.
const MAX_SPARE: usize = 64;
const MAX_SPARE_BYTES: usize = 64 << 10;

/// Bytes that wait for more, and where they came from.
#[derive(Debug, Default)]
pub(in crate::sip) struct Partial {
    pub(super) bytes: Vec<u8>,
    /// Which captured segment brought how many of the bytes; empty when nobody wants to know.
    shares: VecDeque<Share>,
    /// When the last of them was captured.
    pub(super) captured: Timestamp,
}

impl Partial {
    /// An empty one, out of those that are not in use.
    pub(super) fn get(spare: &mut Vec<Self>) -> Self {
        spare.pop().unwrap_or_default()
    }

    /// Gives it back.
    pub(super) fn put(mut self, spare: &mut Vec<Self>) {
        self.bytes.clear();
        self.shares.clear();
        if spare.len() < MAX_SPARE && self.allocated() <= MAX_SPARE_BYTES {
            spare.push(self);
        }
    }

    pub(super) fn append(&mut self, bytes: &[u8], captured: Timestamp, keep_shares: bool) {
        self.bytes.extend_from_slice(bytes);
        self.captured = captured;
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let full = self.shares.len() >= MAX_SHARES;
        match self.shares.back_mut() {
            Some(last) if full => last.length = last.length.saturating_add(length),
            _ if keep_shares => self.shares.push_back(Share { timestamp: captured, length }),
            _ => {}
        }
    }

    /// Drops the first `count` bytes, whose shares have been taken.
    pub(super) fn consume(&mut self, count: usize) {
        self.bytes.drain(..count.min(self.bytes.len()));
    }

    /// The bytes, and the shares to be taken as they are read.
    pub(super) fn parts(&mut self) -> (&[u8], &mut VecDeque<Share>) {
        (&self.bytes, &mut self.shares)
    }

    /// Fetches where it begins and where it ends.
    #[inline]
    pub(super) fn touch(&self) {
        [self.bytes.first(), self.bytes.last()].into_iter().flatten().for_each(fetch);
    }

    pub(super) fn allocated(&self) -> usize {
        let shares = self.shares.capacity().saturating_mul(size_of::<Share>());
        self.bytes.capacity().saturating_add(shares)
    }
}

/// Takes the shares of the next `count` bytes from the front.
pub(super) fn take_shares(shares: &mut VecDeque<Share>, mut count: usize, mut taken: impl FnMut(Share)) {
    while count > 0 {
        let Some(first) = shares.front_mut() else { return };
        let length = first.length.min(u32::try_from(count).unwrap_or(u32::MAX));
        taken(Share { timestamp: first.timestamp, length });
        count = count.saturating_sub(length as usize);
        first.length -= length;
        if first.length == 0 {
            shares.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_those_of_the_segments() {
        let mut partial = Partial::default();
        for (time, bytes) in [(1, "abc"), (2, "d"), (3, "efgh")] {
            partial.append(bytes.as_bytes(), Timestamp(time), true);
        }
        let mut list = Vec::new();
        take_shares(partial.parts().1, 2, |_| {});
        take_shares(partial.parts().1, 4, |share| list.push((share.timestamp.0, share.length)));
        assert_eq!(list, [(1, 1), (2, 1), (3, 2)]);
        partial.consume(6);
        assert_eq!(partial.parts().0, b"gh");
    }
}
