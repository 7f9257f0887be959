//! What one direction waits for, and what it holds meanwhile. Most directions never need one.

use std::ops::Range;
use std::time::Duration;

use crate::reassembly::store::Store;
use crate::reassembly::stray::Stray;
use crate::time::Timestamp;

/// Everything about a direction that is not "the next bytes have come".
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Segments that came before their turn.
    pub(super) store: Store,
    /// Since when the hole at the front has been there as it is: it was first seen, or last grew smaller.
    pub(super) since: Timestamp,
    /// Where a FIN says that the stream ends.
    pub(super) fin: Option<u64>,
    /// RST has been seen; what is still in flight gets as long as a hole to arrive.
    pub(super) reset: bool,
    /// A segment whose sequence number does not fit.
    pub(super) stray: Option<Stray>,
    /// The last gap, if it was so large that it may have been a forged segment that jumped it: bytes of it that
    /// come after all are no retransmission.
    pub(super) leapt: Range<u64>,
}

impl Waiting {
    /// Whether there are bytes, or an end, that cannot be delivered before others come.
    pub(super) fn has_hole(&self) -> bool {
        !self.store.is_empty() || self.fin.is_some() || self.reset
    }

    /// Whether there is no reason to keep it.
    pub(super) fn is_idle(&self) -> bool {
        !self.has_hole() && self.stray.is_none() && self.leapt.is_empty()
    }

    /// When the hole at the front becomes a gap.
    pub(super) fn hole_deadline(&self, patience: Duration) -> Option<Timestamp> {
        self.has_hole().then(|| self.since.after(patience))
    }

    /// When the stray segment is judged.
    pub(super) fn stray_deadline(&self, patience: Duration) -> Option<Timestamp> {
        self.stray.as_ref().map(|stray| stray.arrived.after(patience))
    }

    /// Bytes allocated to hold payload.
    pub(super) fn memory(&self) -> usize {
        self.store.memory().saturating_add(self.stray_bytes())
    }

    /// Payload bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.store.bytes().saturating_add(self.stray_bytes())
    }

    fn stray_bytes(&self) -> usize {
        self.stray.as_ref().map_or(0, |stray| stray.bytes.len())
    }
}
